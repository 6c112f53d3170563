// Real timers, short; only chance and the property's schedule are given.
import fc from 'fast-check'
import { waitAfterFailuresMs } from '../../../control/src/engine/backoff.ts'
import { WorkQueue } from '../../../control/src/engine/work-queue.ts'
import { eventually } from '../../eventually.ts'

describe('a queue of keys', () => {
  test('gives keys out in the order of their arrival, each once however often it was added', async () => {
    const queue = new WorkQueue()
    for (const key of ['a', 'b', 'a', 'c', 'b']) queue.add(key)
    expect(queue.size).toBe(3)
    expect([await queue.next(), await queue.next(), await queue.next()]).toEqual(['a', 'b', 'c'])
    expect(queue.size).toBe(0)
  })

  test('gives a key that was added while it is worked on out again, but only when that is done', async () => {
    const queue = new WorkQueue()
    queue.add('a')
    await queue.next()
    queue.add('a')
    queue.add('a')
    queue.add('b')
    expect(await queue.next()).toBe('b')
    const next = queue.next()
    queue.done('a')
    expect(await next).toBe('a')
    queue.done('a')
    expect(queue.size).toBe(0)
  })

  test('lets whoever asked first have the key that comes first', async () => {
    const queue = new WorkQueue()
    const asked = [queue.next(), queue.next()]
    queue.add('a')
    queue.add('b')
    expect(await Promise.all(asked)).toEqual(['a', 'b'])
  })

  test('gives a key out later; of several times the earliest wins', async () => {
    const queue = new WorkQueue()
    const startedMs = performance.now()
    queue.addAfter('a', 60_000)
    queue.addAfter('a', 20)
    queue.addAfter('a', 30_000)
    queue.addAfter('b', 0)
    expect(queue.size).toBe(1)
    expect(await queue.next()).toBe('b')
    expect(await queue.next()).toBe('a')
    expect(performance.now() - startedMs).toBeGreaterThan(20 - 2)
    queue.close()
  })

  test('a key that is due later can be had at once too, and comes again at its time', async () => {
    const queue = new WorkQueue()
    queue.addAfter('a', 20)
    queue.add('a')
    expect(await queue.next()).toBe('a')
    queue.done('a')
    expect(queue.size).toBe(0)
    expect(await queue.next()).toBe('a')
  })

  test('a key waits the longer the oftener it failed, until it is forgotten', async () => {
    const queue = new WorkQueue({ backOff: { firstMs: 20, longestMs: 40 }, random: () => 0 })
    for (const leastMs of [20, 40, 40]) {
      const startedMs = performance.now()
      queue.addLimited('a')
      expect(await queue.next()).toBe('a')
      expect(performance.now() - startedMs).toBeGreaterThan(leastMs - 2)
      queue.done('a')
    }
    expect(queue.failuresOf('a')).toBe(3)
    queue.forget('a')
    expect(queue.failuresOf('a')).toBe(0)
    expect(queue.failuresOf('b')).toBe(0)
  })

  test('when it is closed nobody waits for a key any more, nothing comes later, nothing can be added', async () => {
    const queue = new WorkQueue()
    const asked = queue.next()
    queue.addAfter('later', 5)
    queue.close()
    expect(await asked).toBeUndefined()
    queue.add('a')
    queue.addAfter('b', 1)
    queue.addLimited('c')
    expect(await queue.next()).toBeUndefined()
    expect(queue.size).toBe(0)
  })

  test('tells how many wait and for how long', async () => {
    const seen: unknown[] = []
    let now = 1000
    const queue = new WorkQueue({
      nowMs: () => now,
      observer: {
        onAdded: (each) => seen.push(['added', each]),
        onTaken: (each) => seen.push(['taken', each]),
        onRetried: () => seen.push(['retried']),
      },
    })
    queue.add('a')
    queue.add('a')
    queue.add('b')
    now = 1250
    await queue.next()
    queue.addLimited('a')
    queue.close()
    expect(seen).toEqual([
      ['added', { depth: 1 }],
      ['added', { depth: 2 }],
      ['taken', { depth: 1, waitedMs: 250 }],
      ['retried'],
    ])
  })
})

describe('between namespaces', () => {
  test('turns go round: of one with hundreds of keys the next one waits for a single key', async () => {
    const queue = new WorkQueue()
    for (let i = 0; i < 200; i++) queue.add(`loud/${i}`)
    for (const key of ['shop/a', 'shop/b', 'mail/a']) queue.add(key)
    const taken: (string | undefined)[] = []
    for (let i = 0; i < 6; i++) taken.push(await queue.next())
    expect(taken).toEqual(['loud/0', 'shop/a', 'mail/a', 'loud/1', 'shop/b', 'loud/2'])
    expect(queue.size).toBe(197)
  })

  test('of one no more keys run at once than it may have, and the others get the workers', async () => {
    const queue = new WorkQueue({ perNamespace: 2 })
    for (let i = 0; i < 5; i++) queue.add(`loud/${i}`)
    const asked = Array.from({ length: 4 }, () => queue.next())
    queue.add('shop/a')
    expect(await Promise.all(asked.slice(0, 3))).toEqual(['loud/0', 'loud/1', 'shop/a'])
    queue.done('shop/a')
    let fourth: string | undefined
    asked[3]?.then((key) => {
      fourth = key
    })
    await new Promise(setImmediate)
    expect(fourth).toBeUndefined()
    queue.done('loud/1')
    expect(await asked[3]).toBe('loud/2')
    queue.done('loud/1')
    expect(queue.size).toBe(2)
  })

  test('a key that is added without end has ten turns a second, and the first one at once', async () => {
    const clock = { nowMs: 1_000 }
    const queue = new WorkQueue({ nowMs: () => clock.nowMs })
    queue.add('shop/a')
    expect(await queue.next()).toBe('shop/a')
    queue.add('shop/a')
    queue.done('shop/a')
    queue.add('shop/a')
    expect(queue.size).toBe(0)
    queue.add('shop/b')
    expect(queue.size).toBe(1)
    clock.nowMs += 100
    queue.add('shop/a')
    expect(queue.size).toBe(2)
    queue.close()
  })
})

describe('whatever is added by whomever, while workers take', () => {
  const key = fc.constantFrom('a/1', 'a/2', 'a/3', 'b/1')
  const step = fc.oneof(
    fc.record({ do: fc.constant('add' as const), key }),
    fc.record({ do: fc.constant('addAfter' as const), key, ms: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ do: fc.constant('addLimited' as const), key }),
    fc.record({ do: fc.constant('turn' as const) }),
  )

  test('no key is worked on twice at a time, and after each adding it is worked on', async () => {
    const property = fc.asyncProperty(
      fc.array(step, { maxLength: 60 }),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 0, max: 3 }),
      async (steps, workers, turns) => {
        const queue = new WorkQueue({
          backOff: { firstMs: 1, longestMs: 3 },
          perNamespace: 2,
          keyEveryMs: turns,
        })
        const running = new Set<string>()
        /** The count at which the key was added last, and at which work on it began last. */
        const addedAt = new Map<string, number>()
        const begunAt = new Map<string, number>()
        let count = 0
        let isTwice = false
        let isOver = false
        const work = async () => {
          for (let taken = await queue.next(); taken !== undefined; taken = await queue.next()) {
            if (running.has(taken)) isTwice = true
            running.add(taken)
            if ([...running].filter((each) => each.startsWith('a/')).length > 2) isOver = true
            begunAt.set(taken, ++count)
            for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
            running.delete(taken)
            queue.done(taken)
          }
        }
        const working = Array.from({ length: workers }, work)
        for (const each of steps) {
          if (each.do === 'turn') await new Promise(setImmediate)
          else {
            addedAt.set(each.key, ++count)
            if (each.do === 'addAfter') queue.addAfter(each.key, each.ms)
            else queue[each.do](each.key)
          }
        }
        const isWorkedOn = () => [...addedAt].every(([each, at]) => (begunAt.get(each) ?? 0) > at)
        await eventually(isWorkedOn, { withinMs: 2_000, everyMs: 1, what: 'work on all that was added' })
        queue.close()
        await Promise.all(working)
        expect({ isTwice, isOver }).toEqual({ isTwice: false, isOver: false })
      },
    )
    const seed = Number(process.env.MILLHAND_TEST_SEED ?? Math.trunc(Math.random() * 2 ** 31))
    console.log(`work queue: MILLHAND_TEST_SEED=${seed}`)
    await fc.assert(property, { seed, numRuns: 150 })
  }, 60_000)
})

describe('the wait after failures', () => {
  const backOff = { firstMs: 500, longestMs: 60_000 }
  test.each([
    [1, 0, 500],
    [1, 1, 250],
    [2, 0, 1000],
    [3, 0.5, 1500],
    [7, 0, 32_000],
    [8, 0, 60_000],
    [10_000, 0, 60_000],
    [10_000, 1, 30_000],
  ])('after %d, with the chance %d, is %d ms', (failures, chance, ms) => {
    expect(waitAfterFailuresMs(backOff, failures, () => chance)).toBe(ms)
  })
})
