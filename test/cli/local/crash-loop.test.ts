// When a worker that ended unasked may be replaced.
import { afterDeath, allowedStarts, noCrashes } from '../../../cli/src/local/crash-loop.ts'

describe('a crash loop', () => {
  test('waits longer and longer, up to half a minute', () => {
    let loop = noCrashes
    const waits = Array.from({ length: 9 }, () => {
      const nowMs = loop.notBeforeMs
      loop = afterDeath(loop, 100, nowMs)
      return loop.notBeforeMs - nowMs
    })
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000])
  })

  test('begins anew after a minute of health', () => {
    const loop = { failures: 7, notBeforeMs: 1000 }
    expect(afterDeath(loop, 60_000, 62_000).failures).toBe(1)
    expect(afterDeath(loop, 10, 61_000).failures).toBe(1)
    expect(afterDeath(loop, 10, 60_000).failures).toBe(8)
  })

  test('lets one worker at a time try, when its time has come', () => {
    const loop = { failures: 3, notBeforeMs: 1000 }
    expect(allowedStarts(loop, { missing: 5, starting: 0 }, 999)).toBe(0)
    expect(allowedStarts(loop, { missing: 5, starting: 0 }, 1000)).toBe(1)
    expect(allowedStarts(loop, { missing: 5, starting: 1 }, 1000)).toBe(0)
    expect(allowedStarts(noCrashes, { missing: 5, starting: 1 }, 1000)).toBe(5)
  })
})
