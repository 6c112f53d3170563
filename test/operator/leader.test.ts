// Elections on a lease in this process. Time stands still but for what a test lets pass: jest's clock drives timers and the monotonic clock.
import { jest } from '@jest/globals'
import { silent } from 'millhand/queue'
import {
  LeaderElection,
  type Lease,
  type LeaseSpec,
  type LeaseStore,
} from '../../operator/src/kube/leader.ts'

const conflict = () => Object.assign(new Error('changed'), { status: 409 })
const durations = { leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 }

/** Like the API server's: an update needs the resourceVersion. */
class LeaseInMemory {
  lease: Lease | undefined
  writes = 0

  /** As one candidate sees it; `does` may make it fail or hang. */
  seenBy(does: { now?: 'fail' | 'hang' | 'loseAnswers' | undefined }): LeaseStore {
    const through = async <T>(act: () => T): Promise<T> => {
      if (does.now === 'fail') throw new Error('unreachable')
      if (does.now === 'hang') await new Promise(() => {})
      const result = act()
      if (does.now === 'loseAnswers') throw new Error('connection reset')
      return result
    }
    return {
      read: () => through(() => this.lease),
      create: (spec) =>
        through(() => {
          if (this.lease) throw conflict()
          return this.#write(spec)
        }),
      update: (lease) =>
        through(() => {
          if (!this.lease) throw Object.assign(new Error('gone'), { status: 404 })
          if (lease.resourceVersion !== this.lease.resourceVersion) throw conflict()
          return this.#write(lease)
        }),
    }
  }

  #write(spec: LeaseSpec): Lease {
    this.lease = { ...spec, resourceVersion: `${++this.writes}` }
    return this.lease
  }
}

const stopping: (() => Promise<void>)[] = []
beforeEach(() => {
  jest.useFakeTimers()
})
afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop()
  jest.useRealTimers()
})

const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms)

function stand(identity: string, memory: LeaseInMemory, { onStopped = async () => {} } = {}) {
  const does: { now?: 'fail' | 'hang' | 'loseAnswers' | undefined } = {}
  const turns: string[] = []
  const candidate = new LeaderElection({
    identity,
    store: memory.seenBy(does),
    log: silent,
    onStarted: () => turns.push('started'),
    onStopped: () => {
      turns.push('stopped')
      return onStopped()
    },
    durations,
    random: () => 0,
  })
  const ending = new AbortController()
  const running = candidate.run(ending.signal)
  const stop = async () => {
    ending.abort()
    await pass(durations.renewDeadlineMs)
    await running
  }
  stopping.push(stop)
  return { candidate, does, turns, stop, end: () => ending.abort() }
}

describe('a leader election', () => {
  let memory: LeaseInMemory
  beforeEach(() => {
    memory = new LeaseInMemory()
  })

  test('of several one leads, and keeps leading', async () => {
    const [a, b] = [stand('a', memory), stand('b', memory)]
    await pass(60_000)
    expect([a.candidate.isLeader, b.candidate.isLeader]).toEqual([true, false])
    expect([a.turns, b.turns]).toEqual([['started'], []])
    expect(memory.lease).toMatchObject({ holder: 'a', durationSeconds: 15, transitions: 0 })
    expect(memory.writes).toBeGreaterThan(25)
  })

  test.each(['hang', 'fail'] as const)(
    'a leader whose calls %s leads no more at the deadline; another leads when the lease has expired',
    async (trouble) => {
      const a = stand('a', memory)
      await pass(0)
      const b = stand('b', memory)
      await pass(2_000)
      const renewedAtMs = performance.now()
      a.does.now = trouble
      const lostAfterMs = await timeUntil(() => !a.candidate.isLeader, renewedAtMs)
      expect(lostAfterMs).toBe(durations.renewDeadlineMs)
      await pass(0)
      expect(a.turns).toEqual(['started', 'stopped'])
      const takenAfterMs = await timeUntil(() => b.candidate.isLeader, renewedAtMs)
      expect(takenAfterMs).toBeGreaterThanOrEqual(durations.leaseMs)
      expect(takenAfterMs).toBeLessThan(durations.leaseMs + 1.5 * durations.retryMs)
      expect(memory.lease).toMatchObject({ holder: 'b', transitions: 1 })
      a.does.now = undefined
      await pass(30_000)
      expect([a.candidate.isLeader, b.candidate.isLeader]).toEqual([false, true])
    },
  )

  test('a leader that stood still knows at once that it leads no more, before any timer of it ran', async () => {
    const a = stand('a', memory)
    await pass(0)
    expect(a.candidate.isLeader).toBe(true)
    a.does.now = 'hang'
    // Whatever the clock on the wall says.
    jest.setSystemTime(Date.now() + 3_600_000)
    expect(a.candidate.isLeader).toBe(true)
    // The monotonic clock goes on and nothing runs.
    const now = performance.now()
    const clock = jest.spyOn(performance, 'now').mockReturnValue(now + durations.renewDeadlineMs)
    expect(a.candidate.isLeader).toBe(false)
    clock.mockRestore()
  })

  test('counts from before a write was sent, not from its answer', async () => {
    const a = stand('a', memory)
    await pass(0)
    const update = memory.seenBy(a.does).update
    const slow = new LeaderElection({
      identity: 'slow',
      store: {
        read: async () => memory.lease && { ...memory.lease, holder: '' },
        create: () => Promise.reject(conflict()),
        update: async (lease) => {
          await new Promise((resolve) => setTimeout(resolve, 4_000))
          return update({ ...lease, resourceVersion: memory.lease?.resourceVersion ?? '' })
        },
      },
      log: silent,
      onStarted() {},
      onStopped() {},
      durations: { ...durations, retryMs: 60_000 },
    })
    const ending = new AbortController()
    const running = slow.run(ending.signal)
    await pass(4_000)
    expect(slow.isLeader).toBe(true)
    await pass(5_990)
    expect(slow.isLeader).toBe(true)
    await pass(10)
    expect(slow.isLeader).toBe(false)
    ending.abort()
    await pass(10_000)
    await running
  })

  test('a write that succeeds after the deadline makes no leader by itself', async () => {
    const answers: (() => void)[] = []
    const store = memory.seenBy({})
    let isSlow = false
    const turns: string[] = []
    const late = new LeaderElection({
      identity: 'late',
      store: {
        ...store,
        update: async (lease) => {
          if (isSlow) await new Promise<void>((resolve) => answers.push(resolve))
          return store.update(lease)
        },
      },
      log: silent,
      onStarted: () => turns.push('started'),
      onStopped: () => {
        turns.push('stopped')
      },
      durations: { ...durations, retryMs: 9_000 },
    })
    const ending = new AbortController()
    const running = late.run(ending.signal)
    await pass(0)
    isSlow = true
    // The write is sent after 9 s and answered after 10.5 s, when its own 10 s would not be over.
    await pass(10_000)
    expect(turns).toEqual(['started', 'stopped'])
    for (const answer of answers.splice(0)) answer()
    await pass(500)
    expect(late.isLeader).toBe(false)
    isSlow = false
    for (const answer of answers.splice(0)) answer()
    await pass(10_000)
    expect(late.isLeader).toBe(true)
    expect(turns).toEqual(['started', 'stopped', 'started'])
    ending.abort()
    await pass(10_000)
    await running
  })

  test('waits for the duration since it saw the lease change, whatever time is written in it', async () => {
    memory.lease = {
      resourceVersion: '1',
      holder: 'ghost',
      durationSeconds: 15,
      transitions: 4,
      acquireTime: '2001-01-01T00:00:00.000000Z',
      renewTime: '2001-01-01T00:00:00.000000Z',
    }
    const a = stand('a', memory)
    const takenAfterMs = await timeUntil(() => a.candidate.isLeader, performance.now())
    expect(takenAfterMs).toBeGreaterThanOrEqual(15_000)
    expect(takenAfterMs).toBeLessThan(18_000)
    expect(memory.lease.transitions).toBe(5)
  })

  test('a change of something else does not prolong the lease of a dead leader', async () => {
    const lease: Lease = {
      resourceVersion: 'x',
      holder: 'ghost',
      durationSeconds: 15,
      transitions: 0,
      acquireTime: '',
      renewTime: '',
    }
    memory.lease = lease
    const a = stand('a', memory)
    for (let second = 0; second < 18; second++) {
      if (memory.lease.holder === 'ghost') memory.lease = { ...lease, resourceVersion: `x${second}` }
      await pass(1_000)
    }
    expect(a.candidate.isLeader).toBe(true)
  })

  test('on its end it stops what it leads, then gives the lease back, and another leads at its next look', async () => {
    let holderAtStop = ''
    const [a, b] = [
      stand('a', memory, {
        onStopped: async () => {
          await new Promise((resolve) => setTimeout(resolve, 1_000))
          holderAtStop = memory.lease?.holder ?? ''
        },
      }),
      stand('b', memory),
    ]
    await pass(5_000)
    a.end()
    await pass(999)
    // What still runs may write.
    expect([a.candidate.isLeader, b.candidate.isLeader]).toEqual([true, false])
    expect(memory.lease?.holder).toBe('a')
    await pass(1)
    expect(a.candidate.isLeader).toBe(false)
    expect(holderAtStop).toBe('a')
    expect(memory.lease).toMatchObject({ holder: '', durationSeconds: 1 })
    await pass(durations.retryMs)
    expect(b.candidate.isLeader).toBe(true)
    expect(a.turns).toEqual(['started', 'stopped'])
  })

  test('on its end it leads no longer than to its deadline, however long the stopping takes', async () => {
    const a = stand('a', memory, {
      onStopped: () => new Promise((resolve) => setTimeout(resolve, 60_000)),
    })
    await pass(0)
    a.end()
    await pass(durations.renewDeadlineMs - 1)
    expect(a.candidate.isLeader).toBe(true)
    await pass(1)
    expect(a.candidate.isLeader).toBe(false)
    await pass(60_000)
    expect(memory.lease?.holder).toBe('')
  })

  test('on its end it gives the lease back also when somebody changed something else of it just now', async () => {
    const a = stand('a', memory)
    await pass(0)
    if (memory.lease) memory.lease = { ...memory.lease, resourceVersion: 'labelled' }
    a.end()
    await pass(0)
    expect(memory.lease).toMatchObject({ holder: '', transitions: 0 })
  })

  test('on its end it gives no lease back that another holds by now', async () => {
    const a = stand('a', memory)
    await pass(0)
    if (memory.lease) memory.lease = { ...memory.lease, resourceVersion: 'stolen', holder: 'thief' }
    a.end()
    await pass(0)
    expect(memory.lease?.holder).toBe('thief')
  })

  test('on its end a candidate leaves the lease alone', async () => {
    const [a, b] = [stand('a', memory), stand('b', memory)]
    await pass(5_000)
    await b.stop()
    expect(memory.lease?.holder).toBe('a')
    expect(a.candidate.isLeader).toBe(true)
  })

  test('an end in the middle of a renewal releases the lease that renewal wrote', async () => {
    let isSlow = false
    const store = memory.seenBy({})
    const election = new LeaderElection({
      identity: 'a',
      store: {
        ...store,
        update: async (lease) => {
          if (isSlow) await new Promise((resolve) => setTimeout(resolve, 1_000))
          return store.update(lease)
        },
      },
      log: silent,
      onStarted() {},
      onStopped() {},
      durations,
    })
    const ending = new AbortController()
    const running = election.run(ending.signal)
    await pass(1_500)
    isSlow = true
    await pass(1_000)
    ending.abort()
    await pass(5_000)
    await running
    expect(election.isLeader).toBe(false)
    expect(memory.lease?.holder).toBe('')
  })

  test('goes on leading when the answer to a renewal is lost', async () => {
    const a = stand('a', memory)
    await pass(0)
    a.does.now = 'loseAnswers'
    await pass(2_500)
    a.does.now = undefined
    await pass(20_000)
    expect(a.candidate.isLeader).toBe(true)
    expect(a.turns).toEqual(['started'])
    expect(memory.lease?.transitions).toBe(0)
  })

  test('goes on leading when somebody else changed something of the lease', async () => {
    const a = stand('a', memory)
    await pass(0)
    if (memory.lease) memory.lease = { ...memory.lease, resourceVersion: 'annotated' }
    await pass(20_000)
    expect(a.candidate.isLeader).toBe(true)
    expect(a.turns).toEqual(['started'])
  })

  test('goes on leading when somebody deletes the lease', async () => {
    const a = stand('a', memory)
    await pass(0)
    memory.lease = undefined
    await pass(20_000)
    expect(memory.lease).toMatchObject({ holder: 'a' })
    expect([a.candidate.isLeader, a.turns]).toEqual([true, ['started']])
  })

  test('leads no more when somebody else wrote another holder into the lease', async () => {
    const a = stand('a', memory)
    await pass(0)
    if (memory.lease)
      memory.lease = { ...memory.lease, resourceVersion: 'stolen', holder: 'thief', renewTime: 'now' }
    await pass(durations.renewDeadlineMs)
    expect(a.candidate.isLeader).toBe(false)
    expect(a.turns).toEqual(['started', 'stopped'])
    expect(memory.lease?.holder).toBe('thief')
  })

  test('never two lead, whatever of their calls fail, hang or lose their answers', async () => {
    const [a, b] = [stand('a', memory), stand('b', memory)]
    const troubles = ['fail', 'hang', 'loseAnswers', undefined, undefined] as const
    let random = 12345
    const chance = () => {
      random = (random * 1103515245 + 12345) % 2 ** 31
      return random
    }
    const led = { a: 0, b: 0 }
    for (let second = 0; second < 1_000; second++) {
      if (chance() % 7 === 0) a.does.now = troubles[chance() % troubles.length]
      if (chance() % 7 === 0) b.does.now = troubles[chance() % troubles.length]
      for (let part = 0; part < 4; part++) {
        await pass(250)
        expect(a.candidate.isLeader && b.candidate.isLeader).toBe(false)
        if (a.candidate.isLeader) led.a++
        if (b.candidate.isLeader) led.b++
      }
    }
    expect(led.a).toBeGreaterThan(100)
    expect(led.b).toBeGreaterThan(100)
  })
})

async function timeUntil(look: () => boolean, sinceMs: number): Promise<number> {
  for (let passed = 0; passed < 100_000 && !look(); passed += 10) await pass(10)
  expect(look()).toBe(true)
  return performance.now() - sinceMs
}
