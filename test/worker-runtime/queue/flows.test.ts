// Flows by their verbs, with jobs in several queues: who runs when, with which input, what a failure stops, what a
// retry runs again, and that nothing is left when a flow is forgotten.
import fc from 'fast-check'
import { type Client, connect, type FlowPlan, type FlowRun, flow } from 'millhand/client'
import {
  type Connection,
  connectRedis,
  defaultSettings,
  newJob,
  openQueue,
  prefixOf,
  type Queue,
} from 'millhand/queue'
import { census } from '../../census.ts'
import { redisUrl } from '../../redis.ts'
import { PLAYED, type Play, playWorkers, type Ran } from './played-workers.ts'

const seed = Number(process.env.MILLHAND_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
const NAMES = ['a', 'b', 'c'] as const
const NO_RETRY = { maxAttempts: 1 }

let redis: Connection
let client: Client
let namespace: string
let queues: Queue[]
let tests = 0
beforeAll(() => {
  redis = connectRedis(redisUrl())
})
afterAll(() => redis.close())
beforeEach(async () => {
  tests += 1
  namespace = `flows-${process.pid}-${tests}`
  client = connect({ redis: redisUrl(), namespace })
  queues = NAMES.map((name) => openQueue(redis, `${namespace}.${name}`))
  for (const queue of queues) await queue.register(PLAYED)
})
afterEach(async () => {
  client.close()
  for (const { name } of queues) expect((await census(redis, name)).problems).toEqual([])
})

/** Plays the workers of all queues until no job is left; answers what they ran, in order. */
const work = (play?: Play, most?: number) => playWorkers(queues, play, most)

const failing =
  (...tasks: string[]): Play =>
  ({ task }) => {
    if (tasks.includes(task)) throw new Error('it fails')
    return task
  }
const tasksOf = (ran: readonly Ran[]) => ran.map(({ task }) => task)
const start = (built: FlowPlan) => client.start(built)
const statesOf = async (run: FlowRun) =>
  Object.fromEntries(((await run.details())?.flowJobs ?? []).map(({ name, state }) => [name, state]))

/** pay, then pack and bill, then ship; each in another queue. */
function diamond(options: Parameters<typeof flow>[1] = {}) {
  const order = flow('order-42', options)
  const pay = order.add('a', 'pay', { order: 42 }, NO_RETRY)
  const pack = order.add('b', 'pack', { payment: pay.result }, NO_RETRY)
  const bill = order.add('c', 'bill', null, { ...NO_RETRY, after: [pay] })
  order.add('a', 'ship', { parcel: pack.result, bills: [bill.result] }, NO_RETRY)
  return order
}

describe('a flow', () => {
  test('runs each job behind those that it waits for, with their results, and answers that of the last', async () => {
    const run = await start(diamond())
    expect(run).toMatchObject({ id: 'order-42', isNew: true, home: `${namespace}.a` })
    expect(await run.facts()).toMatchObject({
      state: 'running',
      jobs: 4,
      enqueued: 1,
      waiting: 3,
      completed: 0,
    })
    const ran = await work(({ task, input }) => ({ task, of: input }))
    expect(ran.map(({ job, input }) => [job, input])).toEqual([
      ['pay', { order: 42 }],
      ['pack', { payment: { task: 'pay', of: { order: 42 } } }],
      ['bill', null],
      ['ship', { parcel: expect.objectContaining({ task: 'pack' }), bills: [{ task: 'bill', of: null }] }],
    ])
    expect(await run.facts()).toMatchObject({
      state: 'completed',
      completed: 4,
      enqueued: 0,
      waiting: 0,
      failed: 0,
    })
    expect(await run.result()).toMatchObject({ task: 'ship' })
  })

  test('is started once, whoever starts it again', async () => {
    const run = await start(diamond())
    expect((await start(diamond())).isNew).toBe(false)
    expect(tasksOf(await work())).toEqual(['pay', 'pack', 'bill', 'ship'])
    expect((await start(diamond())).isNew).toBe(false)
    expect(await work()).toEqual([])
    expect(await client.flow('a', run.id).state()).toBe('completed')
  })

  test('stops at the first failure: what is enqueued goes on, what waits is skipped', async () => {
    const run = await start(diamond())
    expect(tasksOf(await work(failing('pack')))).toEqual(['pay', 'pack', 'bill'])
    expect(await statesOf(run)).toEqual({
      pay: 'completed',
      pack: 'buried',
      bill: 'completed',
      ship: 'skipped',
    })
    expect(await run.facts()).toMatchObject({
      state: 'failed',
      because: { job: 'pack', how: 'buried' },
      skipped: 1,
    })
    await expect(run.result()).rejects.toMatchObject({
      code: 'FLOW_FAILED',
      message: 'flow order-42 failed: job pack is buried',
    })
  })

  test('goes on with what does not wait for the failed one, where it is told to', async () => {
    const order = flow('f', { onJobFailure: 'continue' })
    const bad = order.add('a', 'bad', null, NO_RETRY)
    const good = order.add('b', 'good', null)
    order.add('a', 'behind-bad', null, { after: [bad] })
    order.add('c', 'behind-both', null, { after: [bad, good] })
    const next = order.add('c', 'behind-good', null, { after: [good] })
    order.add('b', 'last', null, { after: [next] })
    const run = await start(order)
    expect(tasksOf(await work(failing('bad'))).sort()).toEqual(['bad', 'behind-good', 'good', 'last'])
    expect(await statesOf(run)).toMatchObject({
      'behind-bad': 'skipped',
      'behind-both': 'skipped',
      last: 'completed',
    })
    expect(await run.state()).toBe('failed')
  })

  test.each([
    ['completed', [] as string[], ['done', 'either']],
    ['failed', ['bill'], ['failed', 'either']],
  ])('enqueues its callbacks once when it has %s', async (state, bad, callbacks) => {
    const run = await start(
      diamond({
        onSuccess: { queue: 'b', task: 'done' },
        onFailure: { task: 'failed', input: { flow: 42 } },
        onComplete: { queue: 'c', task: 'either' },
      }),
    )
    const ran = await work(failing(...bad))
    expect(await run.state()).toBe(state)
    expect(
      tasksOf(ran)
        .filter((task) => ['done', 'failed', 'either'].includes(task))
        .sort(),
    ).toEqual(callbacks.sort())
    expect(await work()).toEqual([])
  })

  test('compensates what has completed, the last one first, one at a time', async () => {
    const order = flow('saga', { onFailure: { task: 'told' } })
    const of = (task: string, input: unknown) => ({ compensate: { task, input }, ...NO_RETRY })
    const pay = order.add('a', 'pay', 1, of('refund', 1))
    const pack = order.add('b', 'pack', pay.result, of('unpack', { parcel: pay.result }))
    order.add('c', 'ship', pack.result, { ...of('never', null) })
    const run = await start(order)
    const ran = await work(failing('ship'))
    expect(tasksOf(ran)).toEqual(['pay', 'pack', 'ship', 'unpack', 'refund', 'told'])
    expect(ran[3]?.input).toEqual({ parcel: 'pay' })
    expect(await statesOf(run)).toMatchObject({ pay: 'compensated', pack: 'compensated', ship: 'buried' })
    expect(await run.state()).toBe('failed')
  })

  test('ends, and compensates the rest, where a compensation fails', async () => {
    const order = flow('saga')
    const steps = ['one', 'two', 'three'].map((task) => ({
      ...{ queue: 'a', task, input: null },
      options: { ...NO_RETRY, compensate: { task: `undo-${task}`, options: NO_RETRY } },
    }))
    order.chain(steps)
    const run = await start(order)
    expect(tasksOf(await work(failing('three', 'undo-two')))).toEqual([
      'one',
      'two',
      'three',
      'undo-two',
      'undo-one',
    ])
    expect(await statesOf(run)).toMatchObject({ one: 'compensated', two: 'completed', 'two.undo': 'buried' })
    expect(await run.state()).toBe('failed')
  })

  test('is cancelled: what waits is skipped, what is enqueued is cancelled wherever it is', async () => {
    const run = await start(diamond())
    await work(undefined, 1)
    expect(await run.cancel()).toBe('cancelling')
    expect(await work()).toEqual([])
    expect(await statesOf(run)).toEqual({
      pay: 'completed',
      pack: 'cancelled',
      bill: 'cancelled',
      ship: 'skipped',
    })
    expect(await run.cancel()).toBe('cancelled')
    await expect(run.result()).rejects.toMatchObject({ code: 'FLOW_CANCELLED' })
  })

  test('is cancelled also where another program has deleted the keys of its jobs', async () => {
    const run = await start(diamond())
    await redis.call(
      'DEL',
      ...['ready:normal', 'lanes', 'job:order-42:pay', 'counts'].map(
        (key) => prefixOf(`${namespace}.a`) + key,
      ),
    )
    await run.cancel()
    for (const queue of queues) await queue.forward()
    expect(await run.facts()).toMatchObject({ state: 'cancelled' })
    expect(await statesOf(run)).toMatchObject({ pay: 'deleted' })
  })

  test('is retried from what failed: what has completed does not run again', async () => {
    const run = await start(diamond({ onSuccess: { task: 'done' }, onFailure: { task: 'told' } }))
    expect(tasksOf(await work(failing('pack')))).toEqual(['pay', 'pack', 'bill', 'told'])
    expect(await run.retry()).toBe('running')
    expect(await run.facts()).toMatchObject({ run: 2, completed: 2, failed: 0, skipped: 0 })
    const again = await work()
    expect(again.map(({ job }) => job)).toEqual(['pack:2', 'ship:2', 'onSuccess:2'])
    expect(again[1]?.input).toEqual({ parcel: 'pack', bills: ['bill'] })
    expect(await run.result()).toBe('ship')
    for (const queue of queues) expect((await queue.depth()).buried).toBe(0)
    expect(await run.retry()).toBe('completed')
  })

  test('is told in the events of its home and counted there, each run by its outcome', async () => {
    const home = queues[0]
    const run = await start(diamond())
    await work(failing('pack'))
    await run.retry()
    await work()
    const other = flow('other')
    other.add('a', 'pay', 1)
    await (await start(other)).cancel()
    const told: string[] = []
    for await (const { changes } of home?.events({ after: '0', follow: false }) ?? [])
      for (const { kind, count, jobs } of changes)
        if (kind.startsWith('flow-'))
          told.push(`${kind} ${count} ${jobs.map(({ id, outcome }) => [id, outcome])}`)
    expect(told).toEqual([
      'flow-started 1 order-42,',
      'flow-ended 1 order-42,failed',
      'flow-started 1 order-42,',
      'flow-ended 1 order-42,completed',
      'flow-started 1 other,',
      'flow-ended 1 other,cancelled',
    ])
    expect((await home?.depth())?.flows).toEqual({
      running: 0,
      started: 3,
      completed: 1,
      failed: 1,
      cancelled: 1,
    })
    expect(await queues[1]?.depth()).not.toHaveProperty('flows')
  })

  test('is retried from a job on: that one and all behind it run again, also where it has completed', async () => {
    const run = await start(diamond({ onSuccess: { task: 'done' } }))
    expect(tasksOf(await work())).toEqual(['pay', 'pack', 'bill', 'ship', 'done'])
    expect(await run.retry()).toBe('completed')
    await expect(run.retry({ from: 'nobody' })).rejects.toThrow('flow order-42 has no job nobody')
    expect(await run.retry({ from: 'pack' })).toBe('running')
    expect(await run.facts()).toMatchObject({ run: 2, completed: 2, enqueued: 1, waiting: 1 })
    const again = await work(({ task }) => `${task} again`)
    expect(again.map(({ job }) => job)).toEqual(['pack:2', 'ship:2', 'onSuccess:2'])
    expect(again[1]?.input).toEqual({ parcel: 'pack again', bills: ['bill'] })
    expect(await run.result()).toBe('ship again')
  })

  test('that is retried from a job on compensates each job once', async () => {
    const order = flow('twice')
    const pay = order.add('a', 'pay', 1, { compensate: { task: 'refund' } })
    const bill = order.add('c', 'bill', null, { after: [pay] })
    order.add('b', 'ship', null, { ...NO_RETRY, after: [bill] })
    const run = await start(order)
    expect(tasksOf(await work())).toEqual(['pay', 'bill', 'ship'])
    expect(await run.retry({ from: 'pay' })).toBe('running')
    const ran = await work(failing('ship'))
    expect(ran.map(({ job }) => job)).toEqual(['pay:2', 'bill:2', 'ship:2', 'pay.undo:2'])
    expect(await run.facts()).toMatchObject({ state: 'failed', completed: 2, failed: 1, enqueued: 0 })
    expect(await run.retry({ from: 'bill' })).toBe('running')
    expect(tasksOf(await work())).toEqual(['pay', 'bill', 'ship'])
  })

  test('of 2,000 jobs is retried from a job on, in slices', async () => {
    const wide = flow('wide')
    const first = wide.add('a', 'first', null)
    wide.map('a', 'part', [...Array(2_000).keys()], { after: [first] })
    const run = await start(wide)
    await work()
    expect(await run.retry({ from: 'first' })).toBe('running')
    expect(await work()).toHaveLength(2_001)
    expect(await run.facts()).toMatchObject({ state: 'completed', run: 2, completed: 2_001 })
  })

  test('runs again what was compensated', async () => {
    const order = flow('saga')
    const pay = order.add('a', 'pay', 1, { compensate: { task: 'refund' } })
    order.add('b', 'ship', pay.result, NO_RETRY)
    const run = await start(order)
    const ran = await work(failing('ship'))
    expect(tasksOf(ran)).toEqual(['pay', 'ship', 'refund'])
    expect(ran[2]?.input).toBe('pay') // the result of what it undoes
    await run.retry()
    expect(tasksOf(await work())).toEqual(['pay', 'ship'])
    expect(await run.state()).toBe('completed')
  })

  test('fails with a reason where the results are too large for an input', async () => {
    const order = flow('large')
    const parts = order.map('a', 'part', [1, 2, 3])
    order.add('b', 'join', parts.results)
    const run = await start(order)
    await work(({ task }) => (task === 'part' ? 'x'.repeat(100_000) : null))
    expect(await run.facts()).toMatchObject({ state: 'failed', because: { job: 'join', how: 'too-large' } })
  })

  test.each([
    ['deleted', (queue: Queue) => queue.purge(['ready'])],
    ['cancelled', (queue: Queue) => queue.cancel('f:one')],
  ])('hears of a job that a person has %s', async (how, act) => {
    const order = flow('f')
    const one = order.add('b', 'one', null)
    order.add('a', 'two', null, { after: [one] })
    const run = await start(order)
    await queues[0]?.forward()
    await act(queues[1] as Queue)
    expect(await work()).toEqual([])
    expect(await run.facts()).toMatchObject({ state: 'failed', because: { job: 'one', how } })
  })

  test('is forgotten when its time is over, with all that was written for it', async () => {
    const run = await start(diamond({ keepMs: 1 }))
    await work()
    while ((await run.state()) !== 'unknown');
    await expect(run.result()).rejects.toMatchObject({ code: 'FLOW_NOT_FOUND' })
    expect(await queues[0]?.flows.list()).toEqual({ total: 0, flows: [] })
    expect(await redis.call('KEYS', `mh:{${namespace}.*}:flow:*`)).toEqual([])
    expect(await redis.call('KEYS', `mh:{${namespace}.*}:outbox*`)).toEqual([])
  })

  describe('to which a job adds others while it runs', () => {
    const added = (name: string, after: string[] = []) => {
      const { flags, lane, call, payload } = newJob('part', name)
      const head = `${String.fromCharCode(flags.charCodeAt(0) + 32)}${lane} - ${call} f=${namespace}.a`
      return { name, queue: `${namespace}.b`, head, payload, after }
    }
    const begin = async () => {
      const built = flow('grows')
      const split = built.add('a', 'split', null)
      built.add('c', 'join', split.added)
      const run = await start(built)
      const { claims = [] } = (await queues[0]?.settleAndClaim({ worker: 'p:1', wanted: 1 })) ?? {}
      const end = async () => {
        const token = claims[0]?.token ?? ''
        await queues[0]?.settleAndClaim({
          worker: 'p:1',
          settlements: [{ id: 'grows:split', token, verdict: 'completed', text: '1 split 1\nnull' }],
        })
      }
      const add = async (name: string, after?: string[]) =>
        queues[0]?.flows.add('grows:split', added(name, after))
      return { run, end, add }
    }

    test('has what waits for that job wait for them too, with their results', async () => {
      const { run, end, add } = await begin()
      expect(await add('split.0')).toBe('added')
      expect(await add('split.1', ['split.0'])).toBe('added')
      expect(await add('split.1')).toBe('known')
      await end()
      const ran = await work(({ task, input }) => (task === 'part' ? `did ${input}` : input))
      expect(ran.map(({ job }) => job)).toEqual(['split.0', 'split.1', 'join'])
      expect(await run.result()).toEqual(['did split.0', 'did split.1'])
      expect(await run.facts()).toMatchObject({ jobs: 4, completed: 4, enqueued: 0 })
    })

    test('gives an empty list where it adds none', async () => {
      const { run, end } = await begin()
      await end()
      await work(({ input }) => input)
      expect(await run.result()).toEqual([])
    })

    test('takes none when that job has ended, and none that waits for a job that there is not', async () => {
      const { end, add } = await begin()
      expect(await add('split.0', ['other'])).toBe('unknown')
      await end()
      expect(await add('split.0')).toBe('over')
      await work()
    })

    test('takes none when it is cancelled', async () => {
      const { run, end, add } = await begin()
      await run.cancel()
      expect(await add('split.0')).toBe('over')
      await end()
      await work()
      expect(await run.state()).toBe('cancelled')
    })
  })

  test.each([
    ['result', 'pay'],
    ['results', 'pay 999999999'],
    ['added', 'pay'],
  ])('takes no input of a user for a reference: {"millhand:%s":"%s"}', (kind, value) => {
    const order = flow('f')
    const pay = order.add('a', 'pay', null)
    const forged = { [`millhand:${kind}`]: value }
    for (const input of [forged, { deep: [forged] }, [pay.result, forged]])
      expect(() => order.add('a', 'pack', input)).toThrow(/"millhand:result".*name the field otherwise/)
    expect(() => order.returns(forged)).toThrow(/name the field otherwise/)
    const compensate = { task: 'undo', input: forged }
    expect(() => order.add('a', 'pack', null, { compensate })).toThrow(/name the field otherwise/)
    order.add('a', 'pack', [JSON.stringify(forged), { ...forged, more: 1 }]) // a text, and an object with other fields
  })

  test('wakes a worker that sleeps until later when a job ends whose next one is delayed', async () => {
    await queues[0]?.enqueue([newJob('later', null, { id: 'later', delayMs: 3_600_000 })])
    const order = flow('f')
    const pay = order.add('a', 'pay', null)
    order.add('a', 'pack', pay.result, { delayMs: 1_000 })
    await start(order)
    const [claim] = (await queues[0]?.settleAndClaim({ worker: 'p:1', wanted: 1 }))?.claims ?? []
    const wakeKey = `${prefixOf(`${namespace}.a`)}wake`
    await redis.call('DEL', wakeKey)
    const text = '1 pay 1\nnull'
    await queues[0]?.settleAndClaim({
      worker: 'p:1',
      settlements: [{ id: 'f:pay', token: claim?.token ?? '', verdict: 'completed', text }],
    })
    expect(await redis.call('EXISTS', wakeKey)).toBe(1)
    await client.flow('a', 'f').cancel()
    await work()
    await queues[0]?.cancel('later')
  })

  test('is listed: those that run, then those that ended last', async () => {
    for (const id of ['one', 'two', 'three']) {
      const built = flow(id)
      built.add('a', 'task', null)
      await start(built)
      if (id !== 'three') await work()
    }
    const { total, flows = [] } = (await queues[0]?.flows.list()) ?? {}
    expect(total).toBe(3)
    expect(flows.map(({ id, state }) => [id, state])).toEqual([
      ['three', 'running'],
      ['two', 'completed'],
      ['one', 'completed'],
    ])
    await work()
  })

  test('of 10,000 jobs gives the one that waits for all of them every result, in order', async () => {
    const wide = flow('wide')
    const parts = wide.map(
      'b',
      'part',
      Array.from({ length: 10_000 }, (_, i) => i),
    )
    wide.add('a', 'join', parts.results)
    const run = await start(wide)
    await work(({ task, input }) => (task === 'part' ? Number(input) * 2 : input))
    expect(await run.result()).toEqual(Array.from({ length: 10_000 }, (_, i) => i * 2))
  }, 120_000)

  test('of 1,000 jobs in a chain runs one after the other', async () => {
    const long = flow('long')
    const steps = Array.from({ length: 1_000 }, (_, i) => ({ queue: NAMES[i % 3] ?? 'a', task: 'step' }))
    long.chain([{ ...(steps[0] ?? { queue: 'a', task: 'step' }), input: 0 }, ...steps.slice(1)])
    const run = await start(long)
    await work(({ input }) => Number(input) + 1)
    expect(await run.result()).toBe(1_000)
  }, 120_000)
})

describe('a batch', () => {
  const named = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({
      task: 'part',
      options: { id: `part-${from + i}`, ...NO_RETRY },
    }))

  test('counts the ends of its jobs, ends behind the last one when it is closed, and calls back once', async () => {
    const batch = await client
      .queue('b')
      .batch('may', { onSuccess: { queue: 'c', task: 'done' }, onFailure: { task: 'no' } })
    await batch.add(named(0, 1_500))
    expect(tasksOf(await work(undefined, 200))).toHaveLength(200)
    expect(await batch.facts()).toMatchObject({
      batch: 'open',
      state: 'running',
      jobs: 1_500,
      completed: 200,
      enqueued: 1_300,
    })
    await work()
    expect(await batch.facts()).toMatchObject({ state: 'running', enqueued: 0 })
    await batch.add(named(1_500, 10))
    expect(await batch.close()).toBe('running')
    const ran = await work()
    expect(tasksOf(ran).filter((task) => task === 'done')).toHaveLength(1)
    expect(ran).toHaveLength(11)
    expect(await batch.ended()).toMatchObject({
      state: 'completed',
      jobs: 1_510,
      completed: 1_510,
      failed: 0,
    })
    await expect(batch.add(named(0, 1))).rejects.toMatchObject({ code: 'BATCH_CLOSED' })
    expect(await batch.close()).toBe('completed')
  })

  test('counts no job twice: a known id is not added, and a failed one that a person retries has not failed', async () => {
    const batch = await client.queue('b').batch('may')
    await batch.add(named(0, 3))
    await batch.add(named(1, 3))
    expect(await batch.facts()).toMatchObject({ jobs: 4 })
    let bad = 2
    const play: Play = () => {
      bad -= 1
      if (bad >= 0) throw new Error('it fails')
    }
    await work(play)
    expect(await batch.facts()).toMatchObject({ completed: 2, failed: 2, enqueued: 0 })
    await queues[1]?.retry(['part-0', 'part-1'])
    await work()
    expect(await batch.facts()).toMatchObject({ completed: 4, failed: 0 })
    await batch.close()
    expect(await batch.ended()).toMatchObject({ completed: 4, failed: 0 })
  })

  test('of which a job is cancelled, and one is buried and deleted, has two that failed', async () => {
    const batch = await client.queue('b').batch('may', { onFailure: { task: 'no' } })
    await batch.add(named(0, 3))
    await batch.close()
    await queues[1]?.cancel('part-0')
    let isFirst = true
    const ran = await work(({ task }) => {
      if (task === 'part' && isFirst) {
        isFirst = false
        throw new Error('it fails')
      }
    })
    await queues[1]?.delete(['part-1'])
    expect(tasksOf(ran)).toEqual(['part', 'part', 'no'])
    expect(await batch.ended()).toMatchObject({ state: 'failed', completed: 1, failed: 2, enqueued: 0 })
  })

  test('without a job completes when it is closed', async () => {
    const batch = await client.queue('b').batch('may')
    expect(await batch.close()).toBe('completed')
  })

  test('is neither cancelled nor retried as a flow is', async () => {
    const batch = await client.queue('b').batch('may')
    expect(await client.flow('b', 'may').cancel()).toBe('running')
    await batch.close()
    expect(await client.flow('b', 'may').retry()).toBe('completed')
  })

  test('refuses jobs beyond the length of its queue, all of a call', async () => {
    await queues[1]?.configure({ ...defaultSettings, ownerUid: 'me', maxLength: 5 })
    const batch = await client.queue('b').batch('may')
    await expect(batch.add(named(0, 6))).rejects.toMatchObject({ code: 'QUEUE_FULL' })
    expect(await batch.facts()).toMatchObject({ jobs: 0 })
    await batch.add(named(0, 5))
    await batch.add(named(0, 5)) // as a call whose answer was lost
    await expect(batch.add(named(4, 2))).rejects.toMatchObject({ code: 'QUEUE_FULL' })
    expect(await batch.facts()).toMatchObject({ jobs: 5 })
    await work()
  })
})

describe('any flow', () => {
  interface Node {
    queue: number
    after: number[]
    fails: boolean
  }
  const nodes: fc.Arbitrary<Node[]> = fc
    .array(
      fc.record({ queue: fc.nat(2), after: fc.array(fc.nat(20), { maxLength: 3 }), fails: fc.boolean() }),
      {
        minLength: 1,
        maxLength: 12,
      },
    )
    .map((list) =>
      list.map(({ queue, after, fails }, i) => ({
        ...{ queue, fails: fails && i % 3 === 0 },
        after: i === 0 ? [] : [...new Set(after.map((each) => each % i))],
      })),
    )

  /** With `continue` a job completes if it and all before it do: its state does not depend on the order. */
  function expected(list: readonly Node[]): string[] {
    const states: string[] = []
    for (const { after, fails } of list) {
      const isFree = after.every((each) => states[each] === 'completed')
      states.push(isFree ? (fails ? 'buried' : 'completed') : 'skipped')
    }
    return states
  }

  test(`runs what its edges allow, tells each result, calls back once, and completes when it is retried (seed ${seed})`, async () => {
    let runs = 0
    await fc.assert(
      fc.asyncProperty(nodes, fc.boolean(), async (list, isStop) => {
        runs += 1
        const built = flow(`any-${runs}`, {
          onJobFailure: isStop ? 'stop' : 'continue',
          onComplete: { task: 'over' },
        })
        const jobs: ReturnType<FlowPlan['add']>[] = []
        for (const [i, { queue, after }] of list.entries()) {
          const input = { i, results: after.map((each) => jobs[each]?.result) }
          jobs.push(built.add(NAMES[queue] ?? 'a', `t${i}`, input, { ...NO_RETRY, name: `t${i}` }))
        }
        const run = await start(built)
        const done = new Set<string>()
        const play =
          (mayFail: boolean): Play =>
          ({ task, input }) => {
            if (task === 'over') return null
            const { i, results } = input as { i: number; results: string[] }
            const node = list[i]
            expect(results).toEqual(node?.after.map((each) => `result of t${each}`))
            expect(done.has(task)).toBe(false)
            if (mayFail && node?.fails) throw new Error('it fails')
            done.add(task)
            return `result of ${task}`
          }
        const first = await work(play(true))
        expect(first.filter(({ task }) => task === 'over')).toHaveLength(1)
        const states = await statesOf(run)
        const wanted = expected(list)
        for (const [i, state] of wanted.entries())
          if (!isStop) expect(states[`t${i}`]).toBe(state)
          else if (state === 'skipped') expect(states[`t${i}`]).toBe('skipped')
          else expect([state, 'skipped']).toContain(states[`t${i}`])
        const isFailed = wanted.includes('buried')
        expect(await run.state()).toBe(isFailed ? 'failed' : 'completed')
        await run.retry()
        const second = await work(play(false))
        expect(second.filter(({ task }) => task === 'over')).toHaveLength(isFailed ? 1 : 0)
        const facts = await run.facts()
        expect(facts).toMatchObject({
          state: 'completed',
          completed: list.length,
          failed: 0,
          skipped: 0,
          enqueued: 0,
        })
      }),
      { seed, numRuns: 40 },
    )
  }, 120_000)
})
