import { nextTurns, Turn } from '../../../worker-runtime/src/worker/turns.ts'

const NOW_MS = 10_000

interface Given {
  name: string
  weight?: number
  hasWork?: boolean
  isSure?: boolean
  hasEnded?: boolean
}

function queueOf({ name, weight = 1, hasWork = true, isSure = true, hasEnded = false }: Given) {
  const turn = new Turn({ weight, nowMs: NOW_MS })
  if (hasWork) turn.work()
  return { name, turn, isSure, hasEnded }
}

function turnsOf(queues: ReturnType<typeof queueOf>[], free: number, nowMs = NOW_MS): Record<string, number> {
  const turns = nextTurns(queues, { free, nowMs })
  return Object.fromEntries(turns.map(({ queue, wanted }) => [queue.name, wanted]))
}

describe('whose turn it is', () => {
  test('a queue without work has none, nor one whose exchange is under way, nor one that is unsure', () => {
    const busy = queueOf({ name: 'busy', hasEnded: true })
    busy.turn.begin(1, NOW_MS)
    busy.turn.work()
    const unsure = queueOf({ name: 'unsure', isSure: false, hasEnded: true })
    expect(turnsOf([queueOf({ name: 'idle', hasWork: false }), busy, unsure], 4)).toEqual({})
  })

  test('one queue alone asks for every free slot', () => {
    expect(turnsOf([queueOf({ name: 'a' })], 16)).toEqual({ a: 16 })
  })

  test('free slots are shared by weight, and none is left over', () => {
    const queues = [queueOf({ name: 'a', weight: 3 }), queueOf({ name: 'b' }), queueOf({ name: 'c' })]
    expect(turnsOf(queues, 10)).toEqual({ a: 6, b: 2, c: 2 })
  })

  test('where there are fewer slots than queues, the least served gets them', () => {
    const [a, b] = [queueOf({ name: 'a' }), queueOf({ name: 'b' })]
    a.turn.begin(1, NOW_MS)
    a.turn.end({ wanted: 1, claimed: 1, nowMs: NOW_MS })
    expect(turnsOf([a, b], 1)).toEqual({ b: 1 })
  })

  test('without a free slot only those have a turn that have something to settle, or owe a claim', () => {
    const woken = queueOf({ name: 'woken', hasWork: false })
    woken.turn.woken()
    const queues = [queueOf({ name: 'works' }), woken, queueOf({ name: 'ended', hasEnded: true })]
    expect(turnsOf(queues, 0)).toEqual({ woken: 0, ended: 0 })
  })

  test('among several queues each is looked at now and then; one alone waits for its marker', () => {
    const [a, b] = [queueOf({ name: 'a', hasWork: false }), queueOf({ name: 'b', hasWork: false })]
    expect(turnsOf([a, b], 2, NOW_MS + 400)).toEqual({})
    expect(turnsOf([a, b], 2, NOW_MS + 600)).toEqual({ a: 1, b: 1 })
    expect(turnsOf([a], 2, NOW_MS + 600)).toEqual({})
  })
})

describe('a turn', () => {
  test('who got less than it asked for has no more work; who got all of it asks again', () => {
    const queue = queueOf({ name: 'a' })
    queue.turn.begin(4, NOW_MS)
    queue.turn.end({ wanted: 4, claimed: 4, nowMs: NOW_MS })
    expect(turnsOf([queue], 1)).toEqual({ a: 1 })
    queue.turn.begin(4, NOW_MS)
    queue.turn.end({ wanted: 4, claimed: 3, nowMs: NOW_MS })
    expect(turnsOf([queue], 1)).toEqual({})
  })

  test('a marker that was popped while it was under way is owed a claim of its own', () => {
    const queue = queueOf({ name: 'a' })
    queue.turn.begin(1, NOW_MS)
    queue.turn.woken()
    queue.turn.end({ wanted: 1, claimed: 0, nowMs: NOW_MS })
    expect(queue.turn.owesClaim).toBe(true)
    expect(turnsOf([queue], 0)).toEqual({ a: 0 })
  })

  test('to settle does not forget that there may be work', () => {
    const queue = queueOf({ name: 'a', hasEnded: true })
    queue.turn.begin(0, NOW_MS)
    queue.turn.end({ wanted: 0, claimed: 0, nowMs: NOW_MS })
    expect(turnsOf([{ ...queue, hasEnded: false }], 2)).toEqual({ a: 2 })
  })

  test('its slots are reserved until it has its answer, or that takes too long', () => {
    const { turn } = queueOf({ name: 'a' })
    turn.begin(3, NOW_MS)
    expect(turn.reserved).toBe(3)
    turn.lapse()
    expect({ reserved: turn.reserved, isUnderWay: turn.isUnderWay }).toEqual({
      reserved: 0,
      isUnderWay: true,
    })
  })

  test('over time each queue gets jobs by its weight', () => {
    const queues = [queueOf({ name: 'a', weight: 3 }), queueOf({ name: 'b', weight: 1 })]
    const got: Record<string, number> = { a: 0, b: 0 }
    for (let nowMs = 0; nowMs < 100_000; nowMs += 10)
      for (const { queue, wanted } of nextTurns(queues, { free: 1, nowMs })) {
        queue.turn.begin(wanted, nowMs)
        queue.turn.end({ wanted, claimed: wanted, nowMs })
        got[queue.name] = (got[queue.name] ?? 0) + wanted
      }
    const { a = 0, b = 0 } = got
    expect(a / b).toBeGreaterThan(2.9)
    expect(a / b).toBeLessThan(3.1)
  })
})
