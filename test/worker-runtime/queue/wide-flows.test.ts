// Flows of very many jobs: what one end means for them is done in slices, of which each is one call; a process that dies
// between two of them leaves the rest to another one. And flows with a deadline.
import { type FlowPlan, flow } from 'millhand/client'
import { type Connection, defaultSettings, prefixOf, type Queue } from 'millhand/queue'
import { run } from '../../../worker-runtime/src/queue/verbs.ts'
import { BEGIN_MS, clockedQueues, scripts } from './clocked-queues.ts'

const JOBS = 3_000
/** 500 and the rest of a page. */
const MOST_A_CALL = 800
const NO_RETRY = { maxAttempts: 1 }
const worker = 'p:1'

let redis: Connection
let queue: Queue
const at = clockedQueues(
  'wide',
  (...own) => {
    ;[queue, redis] = own
  },
  (queue) => queue.configure({ ...defaultSettings, ownerUid: 'test' }),
)

const start = (built: FlowPlan) => queue.flows.start(built.plan(queue.name, () => queue.name))
const facts = () => queue.flows.facts('wide')
const statesOf = async () => {
  const jobs = (await queue.flows.details('wide'))?.flowJobs ?? []
  return Object.groupBy(jobs, ({ state }) => state)
}
const ready = async () => (await queue.depth()).ready
const key = (name: string) => prefixOf(queue.name) + name

/** Runs all that is ready, up to so many; answers the tasks. */
async function work(most = Number.POSITIVE_INFINITY, failing = ''): Promise<string[]> {
  const ran: string[] = []
  while (ran.length < most) {
    const { claims } = await queue.settleAndClaim({ worker, wanted: Math.min(100, most - ran.length) })
    if (claims.length === 0) break
    const ended = claims.map(({ id, token, envelope }) => {
      const task = envelope.split(/[ \n]/, 4)[3] ?? ''
      ran.push(task)
      if (task === failing) return { id, token, verdict: 'failed' as const, text: '{"outcome":"failed"}' }
      return { id, token, verdict: 'completed' as const, text: `1 ${task} 1\n1` }
    })
    await queue.settleAndClaim({ worker, settlements: ended })
  }
  return ran
}

/** One slice of what lies in the outbox, by a process that dies before it says so. */
async function forwardAndDie(): Promise<void> {
  const prefix = prefixOf(queue.name)
  const [to, ...entries] = (await run(redis, scripts.forward, prefix, [''])) as string[]
  expect(to).toBe(queue.name)
  await run(redis, scripts.accept, prefix, [queue.name, ...entries])
}

/** first, then all the others, then last. */
function hourglass(options: Parameters<typeof flow>[1] = {}): FlowPlan {
  const wide = flow('wide', options)
  const first = wide.add('q', 'first', null, NO_RETRY)
  const inputs = Array.from({ length: JOBS }, () => null)
  const parts = wide.map('q', 'part', inputs, { after: [first], ...NO_RETRY })
  wide.add('q', 'last', parts.results)
  return wide
}

const flat = () => {
  const wide = flow('wide')
  wide.map(
    'q',
    'part',
    Array.from({ length: JOBS }, () => null),
  )
  return wide
}

describe('in slices', () => {
  test('starts, and is not there before all of it is', async () => {
    expect(await start(flat())).toBe(true)
    expect(await start(flat())).toBe(false)
    expect(await ready()).toBe(JOBS)
    expect(await redis.call('KEYS', `${key('flow:wide:staged')}*`)).toEqual([])
    expect(await work()).toHaveLength(JOBS)
    expect(await facts()).toMatchObject({ state: 'completed', completed: JOBS })
  })

  test('is read: each job once, by its name, with what it waits for; no slice is larger than it may be', async () => {
    await start(hourglass())
    const { flowJobs = [] } = (await queue.flows.details('wide')) ?? {}
    const parts = Array.from({ length: JOBS }, (_, n) => `part.${n}`).sort()
    expect(flowJobs.map(({ name }) => name)).toEqual(['first', 'last', ...parts])
    expect(flowJobs.find(({ name }) => name === 'last')?.after).toEqual(parts)
    expect(flowJobs.find(({ name }) => name === 'part.7')?.after).toEqual(['first'])
    const look = await run(redis, scripts['flow-look'], prefixOf(queue.name), ['wide', 'jobs', '0'])
    const [fields, end] = look as [string[], string]
    expect(end).not.toBe('0')
    // HSCAN gives whole buckets of its table: a few more than it was asked for.
    expect(fields.length / 2).toBeLessThan(1_300)
  })

  test('lets go of jobs that one end sets free; a process that dies between two leaves the rest', async () => {
    await start(hourglass())
    expect(await work(1)).toEqual(['first'])
    const after = await ready()
    expect(after).toBeGreaterThan(0)
    expect(after).toBeLessThanOrEqual(MOST_A_CALL)
    await forwardAndDie()
    const next = await ready()
    expect(next).toBeGreaterThan(after)
    expect(next - after).toBeLessThanOrEqual(MOST_A_CALL)
    await at(6_000)
    await queue.forward()
    expect(await ready()).toBe(JOBS)
    expect(await work()).toHaveLength(JOBS + 1)
    expect(await facts()).toMatchObject({ state: 'completed', completed: JOBS + 2, enqueued: 0, waiting: 0 })
  })

  test('is cancelled: no job starts, and each that was enqueued is cancelled once', async () => {
    await start(hourglass())
    await work(1)
    await queue.forward()
    expect(await work(10)).toHaveLength(10)
    await queue.flows.cancel('wide')
    await queue.forward()
    expect(await work()).toEqual([])
    const states = await statesOf()
    expect([states.completed?.length, states.cancelled?.length, states.skipped?.length]).toEqual([
      11,
      JOBS - 10,
      1,
    ])
  })

  test('is cancelled between two slices: what was not enqueued yet never is', async () => {
    await start(hourglass())
    await work(1)
    const enqueued = await ready()
    await queue.flows.cancel('wide')
    await queue.forward()
    expect(await work()).toEqual([])
    expect(await facts()).toMatchObject({
      state: 'cancelled',
      failed: enqueued,
      skipped: JOBS + 1 - enqueued,
    })
  })

  test('stops at a failure in one call, and is retried as a whole', async () => {
    await start(hourglass())
    await work(1, 'first')
    expect(await facts()).toMatchObject({ state: 'failed', skipped: JOBS + 1 })
    expect(await queue.flows.retry('wide')).toBe('running')
    await queue.forward()
    expect(await work(1)).toEqual(['first'])
    await queue.forward()
    expect(await work()).toHaveLength(JOBS + 1)
    expect(await facts()).toMatchObject({ state: 'completed', run: 2, completed: JOBS + 2 })
  })

  test('skips what waits for a failed one, where the others go on', async () => {
    const wide = hourglass({ onJobFailure: 'continue' })
    wide.add('q', 'other', null)
    await start(wide)
    await work(1, 'first')
    await queue.forward()
    expect(await work()).toEqual(['other'])
    expect(await facts()).toMatchObject({ state: 'failed', skipped: JOBS + 1, completed: 1, failed: 1 })
  })
})

describe('of which another program deletes a job', () => {
  const begin = async () => {
    const wide = flow('wide', { onJobFailure: 'continue' })
    wide.chain([
      { queue: 'q', task: 'one', input: null },
      { queue: 'q', task: 'two' },
    ])
    wide.add('q', 'other', null)
    await start(wide)
  }
  const renewAndForward = async (ms: number) => {
    await at(ms)
    await queue.renew(worker)
    await queue.forward()
  }

  test('finds that when nothing has moved for five minutes, and ends', async () => {
    await begin()
    await redis.call('DEL', ...['job:wide:one', 'ready:normal', 'lanes'].map(key))
    await redis.call('RPUSH', key('ready:normal'), 'wide:other')
    await redis.call('ZADD', key('lanes'), 0, 'normal')
    await redis.call('HSET', key('counts'), 'ready', 1)
    await renewAndForward(299_999)
    expect(await facts()).toMatchObject({ enqueued: 2, failed: 0 })
    await renewAndForward(300_000)
    expect(await facts()).toMatchObject({
      ...{ state: 'running', enqueued: 1, failed: 1, skipped: 1 },
      because: { job: 'one', how: 'lost' },
    })
    expect(await work()).toEqual(['other'])
    expect(await facts()).toMatchObject({ state: 'failed' })
  })

  test('hears late of an end of which the message was deleted', async () => {
    await begin()
    expect(await work(1)).toEqual(['one'])
    await redis.call('DEL', key('job:wide:two'))
    await redis.call('LREM', key('ready:normal'), 1, 'wide:two')
    await redis.call('HINCRBY', key('counts'), 'ready', -1)
    const before = ['job:one', `enqueued ${queue.name} 1 0 two`, 'job:two', `waiting ${queue.name} 1 1`]
    await redis.call('HSET', key('flow:wide'), ...before, 'running', 2, 'completed', 0)
    await renewAndForward(300_000)
    expect(await facts()).toMatchObject({ state: 'running', enqueued: 2, completed: 1 })
    expect((await work()).sort()).toEqual(['other', 'two'])
    expect(await facts()).toMatchObject({ state: 'completed' })
  })

  test('asks for nothing where flows have ended', async () => {
    await begin()
    await work()
    await renewAndForward(300_000)
    expect(await redis.call('HMGET', key('counts'), 'flowsCheckMs', 'flowsChecked')).toEqual([null, null])
  })
})

describe('that expires', () => {
  const late = () => {
    const wide = flow('wide', { expiresInMs: 1_000, onFailure: { queue: 'q', task: 'told' } })
    wide.chain([
      { queue: 'q', task: 'one', input: null },
      { queue: 'q', task: 'two', options: { expiresInMs: 60_000 } },
      { queue: 'q', task: 'three' },
    ])
    return wide
  }

  test('ends with a job that has not started by then, whatever time that one has of its own', async () => {
    await start(late())
    expect(await work(1)).toEqual(['one'])
    await at(1_001)
    await queue.renew(worker)
    expect(await work()).toEqual(['told'])
    expect(await facts()).toMatchObject({
      ...{ state: 'failed', because: { job: 'two', how: 'expired' }, expiresAtMs: BEGIN_MS + 1_000 },
      ...{ completed: 1, failed: 1, skipped: 1 },
    })
  })

  test('ends behind a job that ran until then, and begins anew when it is retried', async () => {
    await start(late())
    const { claims } = await queue.settleAndClaim({ worker, wanted: 1 })
    await at(2_000)
    await queue.renew(worker)
    expect(await facts()).toMatchObject({ state: 'running' })
    const ended = claims.map(({ id, token }) => ({
      ...{ id, token },
      verdict: 'completed' as const,
      text: '1 one 1\n1',
    }))
    await queue.settleAndClaim({ worker, settlements: ended })
    expect(await facts()).toMatchObject({ state: 'failed', because: { job: 'two', how: 'expired' } })
    expect(await queue.flows.retry('wide')).toBe('running')
    expect(await work()).toEqual(['told', 'two', 'three'])
    expect(await facts()).toMatchObject({ state: 'completed', expiresAtMs: BEGIN_MS + 3_000 })
  })
})
