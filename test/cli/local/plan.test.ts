import { afterDeath, allowedStarts, noCrashes } from '../../../cli/src/local/crash-loop.ts'
import { type LocalObservation, type LocalPlan, planLocalPool } from '../../../cli/src/local/plan.ts'
import { noHistory } from '../../../control/src/decide/replicas.ts'
import type { Candidate } from '../../../control/src/decide/victims.ts'
import { workerPool } from '../../control/resources/crds.ts'

const pool = workerPool({ scaling: { behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } } })
const queue = (ready: number) => ({ ready, busy: 0, isStopped: false, share: 1 })

function worker(podUid: string, rest: Partial<Candidate> = {}): Candidate {
  return { podUid, held: 0, startedAtMs: 1, isDraining: false, ...rest }
}

function plan(given: Partial<LocalObservation>): Omit<LocalPlan, 'decision'> {
  const { decision: _, ...rest } = planLocalPool({
    pool,
    queues: [queue(0)],
    workers: [],
    wanted: given.workers?.length ?? 0,
    history: noHistory,
    nowMs: 1_000_000,
    ...given,
  })
  return rest
}

describe('what a pool of processes needs next', () => {
  const nothing = { start: 0, drain: [], undrain: [], stop: [] }
  const rows: [string, Partial<LocalObservation>, Omit<LocalPlan, 'decision'>][] = [
    ['nothing, when there is nothing to do', {}, nothing],
    ['a worker for the first job', { queues: [queue(1)] }, { ...nothing, start: 1 }],
    [
      'only the workers that are missing',
      { queues: [queue(3)], workers: [worker('a')] },
      { ...nothing, start: 2 },
    ],
    ['an idle worker is drained before it goes', { workers: [worker('a')] }, { ...nothing, drain: ['a'] }],
    [
      'an idle worker that drains may go',
      { workers: [worker('a', { isDraining: true })] },
      { ...nothing, drain: ['a'], stop: ['a'] },
    ],
    [
      'a busy worker never goes, it drains',
      { workers: [worker('a', { isDraining: true, held: 1 })] },
      { ...nothing, drain: ['a'] },
    ],
    [
      'a worker that drains is taken back when there are jobs',
      { queues: [queue(1)], workers: [worker('a', { isDraining: true })] },
      { ...nothing, undrain: ['a'] },
    ],
    [
      'the idle one of two goes',
      { workers: [worker('a', { held: 1 }), worker('b')] },
      { ...nothing, drain: ['b'] },
    ],
    [
      'while Redis is away nobody goes',
      { queues: 'unknown', workers: [worker('a', { isDraining: true })] },
      nothing,
    ],
    [
      'while Redis is away those that died are replaced',
      { queues: 'unknown', workers: [worker('a')], wanted: 3 },
      { ...nothing, start: 2 },
    ],
  ]
  test.each(rows)('%s', (_, given, expected) => {
    expect(plan(given)).toEqual(expected)
  })
})

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
    expect(allowedStarts(loop, 5, 0, 999)).toBe(0)
    expect(allowedStarts(loop, 5, 0, 1000)).toBe(1)
    expect(allowedStarts(loop, 5, 1, 1000)).toBe(0)
    expect(allowedStarts(noCrashes, 5, 1, 1000)).toBe(5)
  })
})
