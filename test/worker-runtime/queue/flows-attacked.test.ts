// Flows that somebody means harm, or knows no better: hostile names, inputs and results, ids that are there already,
// sizes at their limits, and people and programs that interfere. A flow ends whatever comes, and says why.
import { randomBytes } from 'node:crypto'
import { type Client, connect, flow } from 'millhand/client'
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
import { eventually } from '../../eventually.ts'
import { Monitor } from '../../monitor.ts'
import { RedisServer } from '../../redis-server.ts'
import { PLAYED, type Play, playWorkers } from './played-workers.ts'

const NAMES = ['a', 'b'] as const
const NO_RETRY = { maxAttempts: 1 }

let server: RedisServer
let redis: Connection
let client: Client
let namespace: string
let queues: Queue[]
beforeAll(async () => {
  server = await RedisServer.start()
  redis = connectRedis(server.url)
})
afterAll(async () => {
  redis.close()
  await server.remove()
})
beforeEach(async () => {
  namespace = `attacked-${randomBytes(4).toString('hex')}`
  client = connect({ redis: server.url, namespace })
  queues = NAMES.map((name) => openQueue(redis, `${namespace}.${name}`))
  for (const queue of queues) await queue.register(PLAYED)
})
afterEach(async () => {
  client.close()
  for (const { name } of queues) expect((await census(redis, name)).problems).toEqual([])
})

const work = (play?: Play, most?: number) => playWorkers(queues, play, most)
const at = (name: 'a' | 'b') => queues[NAMES.indexOf(name)] as Queue
const MIB = 2 ** 20

describe('a flow whose jobs have ids that are in use', () => {
  test('as its id was used before, fails and says so, and completes when it is retried', async () => {
    const build = (keepMs: number) => {
      const nightly = flow('nightly', { keepMs })
      const one = nightly.add('b', 'one', 1)
      nightly.add('a', 'two', one.result)
      return nightly
    }
    const first = await client.start(build(1))
    await work()
    while ((await first.state()) !== 'unknown');
    const second = await client.start(build(60_000))
    expect(await work()).toEqual([])
    expect(await second.facts()).toMatchObject({ state: 'failed', because: { job: 'one', how: 'taken' } })
    expect(await second.retry()).toBe('running')
    expect((await work()).map(({ job }) => job)).toEqual(['one:2', 'two:2'])
    expect(await second.state()).toBe('completed')
  })

  test.each(NAMES)('by a job of somebody else in %s, fails and leaves that job alone', async (name) => {
    await at(name).enqueue([newJob('own', 1, { id: 'f:one', delayMs: 3_600_000 })])
    const order = flow('f', { home: 'a' })
    order.add(name, 'one', 1)
    const run = await client.start(order)
    expect(await work()).toEqual([])
    expect(await run.facts()).toMatchObject({ state: 'failed', because: { job: 'one', how: 'taken' } })
    expect((await at(name).depth()).delayed).toBe(1)
    await at(name).cancel('f:one')
  })

  test.each(NAMES)(
    'by a callback that somebody else has in %s, calls back under another one',
    async (name) => {
      await at(name).enqueue([newJob('own', 1, { id: 'f:onSuccess', delayMs: 3_600_000 })])
      const order = flow('f', { home: 'a', onSuccess: { queue: name, task: 'done' } })
      order.add('a', 'one', 1)
      const run = await client.start(order)
      const [, called, ...others] = await work()
      expect(called).toMatchObject({ task: 'done' })
      expect(called?.job).toMatch(/^onSuccess:\d{13}$/)
      expect(others).toEqual([])
      expect(await run.state()).toBe('completed')
      expect(await at(name).cancel('f:onSuccess')).toBe('cancelled')
    },
  )

  test('as what was forwarded comes once more, runs each of them once', async () => {
    const order = flow('f', { home: 'a' })
    const one = order.add('b', 'one', 1)
    order.add('b', 'two', one.result)
    const run = await client.start(order)
    const again = async () => {
      const job = newJob('one', 1, { id: 'f:one' })
      const head = `P${job.lane} - ${job.call} f=${namespace}.a`
      const outbox = `${prefixOf(at('a').name)}outbox`
      const fields = ['verb', 'enqueue', 'id', job.id, 'head', head, 'text', job.payload]
      await redis.call('XADD', `${outbox}:${at('b').name}`, '*', ...fields)
      await redis.call('ZADD', outbox, 0, at('b').name)
      await at('a').forward()
    }
    await again()
    expect((await work(undefined, 1)).map(({ job }) => job)).toEqual(['one'])
    await again()
    expect((await work()).map(({ job }) => job)).toEqual(['two'])
    expect(await run.state()).toBe('completed')
  })
})

describe('a flow of which another program deletes', () => {
  const begin = async () => {
    const order = flow('f')
    const one = order.add('a', 'one', 1)
    order.add('b', 'two', one.result)
    const run = await client.start(order)
    return { run, part: `${prefixOf(run.home)}flow:f` }
  }

  test('what it would enqueue, fails', async () => {
    const { run, part } = await begin()
    await redis.call('DEL', `${part}:calls`)
    expect((await work()).map(({ job }) => job)).toEqual(['one'])
    expect(await run.facts()).toMatchObject({ state: 'failed', because: { job: 'two', how: 'deleted' } })
  })

  test('its facts, is no more, and its job ends as any other', async () => {
    const { run, part } = await begin()
    await redis.call('DEL', part)
    expect((await work()).map(({ job }) => job)).toEqual(['one'])
    expect(await run.state()).toBe('unknown')
    expect(await client.queue('a').job('f:one').state()).toBe('completed')
    expect(await redis.call('KEYS', `${part}*`)).toEqual([])
    expect(await client.start(flow('f').returns(null)).catch(String)).toMatch(/has no jobs/)
  })

  test('its results, gives null for them', async () => {
    const { run, part } = await begin()
    await work(undefined, 1)
    await redis.call('DEL', `${part}:results`)
    await work()
    expect(await run.result()).toBe('two')
  })
})

describe('a flow of hostile texts', () => {
  const TEXT = '%1 %0 {"millhand:result":"toString"} \u2028 \u0000 💥 \ud800 \\" {"millhand:results":"x 9"}'
  /** A field of its own, which an object of `__proto__: …` would not have. */
  const proto = (value: unknown) => ({ ['__proto__']: value, [TEXT]: [value, TEXT] })
  const asJson = (value: unknown) => JSON.parse(JSON.stringify(value))

  test('passes them on as they are, and takes none for a reference', async () => {
    const order = flow('constructor')
    const one = order.add('a', 'toString', proto(TEXT))
    const two = order.add('b', 'hasOwnProperty', proto(one.result))
    order.returns({ two: two.result })
    const run = await client.start(order)
    const looksLikeOne = { 'millhand:result': 'hasOwnProperty' }
    const ran = await work(({ task, input }) => (task === 'toString' ? looksLikeOne : input))
    expect(ran.map(({ input }) => input)).toEqual([asJson(proto(TEXT)), asJson(proto(looksLikeOne))])
    expect(await run.result()).toEqual({ two: asJson(proto(looksLikeOne)) })
    expect((await run.details())?.flowJobs.map(({ name }) => name)).toEqual(['hasOwnProperty', 'toString'])
  })

  test('has ids, names, keys and tags of their greatest lengths', async () => {
    const name = 'n'.repeat(60)
    const order = flow('f'.repeat(60))
    const options = { key: 'k'.repeat(128), tags: ['t'.repeat(64)], maxAttempts: 1, name }
    order.add('a', 't'.repeat(100), null, { ...options, compensate: { task: 'undo' } })
    order.add('b', 'fails', null, {
      ...NO_RETRY,
      after: [order.add('b', 'last', null, { name: `${name.slice(1)}-` })],
    })
    const run = await client.start(order)
    let isFirst = true
    const play: Play = ({ task }) => {
      if (task === 'fails' && isFirst) {
        isFirst = false
        throw new Error('it fails')
      }
    }
    expect((await work(play)).at(-1)?.job).toBe(`${name}.undo`)
    expect(await run.retry()).toBe('running')
    await work(play)
    expect(await run.state()).toBe('completed')
    for (const { jobId, queue } of (await run.details())?.flowJobs ?? [])
      expect(
        await client
          .queue(queue.split('.')[1] ?? '')
          .job(jobId)
          .state(),
      ).toBe('completed')
  })

  test('gives no job and no group one name', () => {
    const one = flow('f')
    one.add('a', 'one', null)
    expect(() => one.map('a', 'task', [1], { name: 'one' })).toThrow(/a job and a group one/)
    const two = flow('f')
    two.map('a', 'task', [1], { name: 'one' })
    expect(() => two.add('a', 'one', null, { name: 'one' })).toThrow(/a job and a group one/)
  })
})

describe('a flow of large results', () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, i) => i)

  test('reads few of them where they are too many for an input', async () => {
    await at('a').configure({ ...defaultSettings, ownerUid: 'me', maxPayloadBytes: 50_000 })
    const order = flow('large', { onJobFailure: 'continue' })
    const parts = order.map('a', 'part', numbers(1_000))
    const last = parts.jobs.at(-1)?.result
    order.add('b', 'list', parts.results)
    order.add(
      'b',
      'again',
      numbers(1_000).map(() => last),
    )
    order.add('b', 'fits', [last, last])
    const run = await client.start(order)
    const heavy = 'x'.repeat(20_000)
    await work(() => heavy, 999)
    const monitor = await Monitor.start(server.url)
    await work(() => heavy)
    const { inScripts } = await monitor.take()
    monitor.stop()
    const states = (await run.details())?.flowJobs.filter(({ name }) => !name.startsWith('part'))
    expect(states?.map(({ name, state }) => `${name} ${state}`)).toEqual([
      ...['again too-large', 'fits completed', 'list too-large'],
    ])
    expect(inScripts.filter((command) => /^HM?GET$/.test(command)).length).toBeLessThan(100)
  }, 60_000)

  test('counts the results, and not the references in whose places they are', async () => {
    await at('a').configure({ ...defaultSettings, ownerUid: 'me', maxPayloadBytes: 10_000 })
    const order = flow('f')
    const parts = numbers(100).map((i) => order.add('a', 'part', i, { name: `${'n'.repeat(50)}${i}` }))
    order.add(
      'b',
      'join',
      parts.map(({ result }) => result),
    )
    const run = await client.start(order)
    await work(({ task, input }) => (task === 'part' ? 'x'.repeat(40) : input))
    expect(await run.result()).toEqual(numbers(100).map(() => 'x'.repeat(40)))
  })

  test('says that its own result is too large', async () => {
    const wide = flow('wide')
    const { results } = wide.map('a', 'part', numbers(17))
    const run = await client.start(wide.returns([results, results]))
    const heavy = 'x'.repeat(MIB / 2)
    while ((await work(() => heavy, 1)).length > 0);
    await expect(run.result()).rejects.toMatchObject({ code: 'PAYLOAD_TOO_LARGE' })
  }, 60_000)
})

describe('a flow with which several interfere', () => {
  test('started at once by many with different jobs, is that of one of them', async () => {
    const plans = Array.from({ length: 20 }, (_, i) => {
      const order = flow('f')
      const one = order.add('b', `one-${i}`, i)
      order.add('a', `two-${i}`, one.result)
      return order
    })
    const runs = await Promise.all(plans.map((each) => client.start(each)))
    const [first, ...others] = runs.flatMap(({ isNew }, i) => (isNew ? [i] : []))
    expect(others).toEqual([])
    expect((await work()).map(({ task }) => task)).toEqual([`one-${first}`, `two-${first}`])
  })

  test.each([0, 1, 150, 400])('cancelled when %i jobs of a fan-out have run, runs no other', async (most) => {
    const order = flow('f', { onComplete: { task: 'over' } })
    const one = order.add('a', 'one', null)
    const parts = Array.from({ length: 500 }, (_, i) => order.add('b', 'part', one.result, { name: `p${i}` }))
    order.add('a', 'join', null, { after: parts })
    const run = await client.start(order)
    await work(undefined, 1)
    if (most > 0) await playWorkers([at('b')], undefined, most)
    await run.cancel()
    expect((await work()).map(({ task }) => task)).toEqual(['over'])
    const facts = await run.facts()
    expect(facts).toMatchObject({ state: 'cancelled', enqueued: 0, waiting: 0 })
    expect((facts?.completed ?? 0) + (facts?.failed ?? 0) + (facts?.skipped ?? 0)).toBe(502)
  })

  test('is retried when it has stopped, and not while it stops', async () => {
    const order = flow('f')
    order.add('a', 'bad', null, NO_RETRY)
    const slow = order.add('b', 'slow', null)
    order.add('a', 'last', slow.result)
    const run = await client.start(order)
    await at('a').forward()
    const [held] = (await at('b').settleAndClaim({ worker: PLAYED.worker, wanted: 1 })).claims
    let isFirst = true
    const play: Play = ({ task }) => {
      if (task === 'bad' && isFirst) {
        isFirst = false
        throw new Error('it fails')
      }
      return task
    }
    await work(play)
    expect(await run.retry()).toBe('failing')
    const end = { id: held?.id ?? '', token: held?.token ?? '', verdict: 'completed' as const }
    const settlements = [{ ...end, text: '1 slow 1\n"slow"' }]
    await at('b').settleAndClaim({ worker: PLAYED.worker, settlements })
    await at('b').forward()
    expect(await run.state()).toBe('failed')
    expect(await run.retry()).toBe('running')
    expect((await work(play)).map(({ job }) => job)).toEqual(['bad:2', 'last:2'])
    expect(await run.result()).toEqual(['bad', 'last'])
  })

  test('loses a job to the trash, fails, and is not moved by one that comes out of it', async () => {
    const order = flow('f')
    const bad = order.add('b', 'bad', null, NO_RETRY)
    order.add('a', 'last', bad.result)
    const run = await client.start(order)
    await work(({ task }) => {
      if (task === 'bad') throw new Error('it fails')
    })
    const { actions } = at('b')
    const deleting = await actions.create({ verb: 'delete', filter: { terms: [] }, ids: ['f:bad'] })
    await actions.run(deleting)
    await actions.undo(deleting)
    await at('b').retry(['f:bad'])
    expect((await work()).map(({ job }) => job)).toEqual(['bad'])
    expect(await run.facts()).toMatchObject({ state: 'failed', failed: 1, skipped: 1, completed: 0 })
  })

  test('obeys the limits of its queues, which refuse none of its jobs', async () => {
    const perKey = { maxBusy: 1, maxLength: 1, whenAtLimit: 'RejectNew' as const }
    await at('b').configure({ ...defaultSettings, ownerUid: 'me', maxLength: 1, maxBusy: 2, perKey })
    const order = flow('f')
    const options = { key: 'acme' }
    const parts = order.map('b', 'part', [1, 2, 3, 4, 5], options)
    order.add('b', 'join', parts.results, options)
    const run = await client.start(order)
    const mostAtOnce: number[] = []
    await at('a').forward()
    for (;;) {
      const { claims } = await at('b').settleAndClaim({ worker: PLAYED.worker, wanted: 9 })
      if (claims.length === 0) break
      mostAtOnce.push(claims.length)
      const settlements = claims.map(({ id, token }) => ({
        id,
        token,
        verdict: 'completed' as const,
        text: '1 t 1\n7',
      }))
      await at('b').settleAndClaim({ worker: PLAYED.worker, settlements })
    }
    expect(mostAtOnce).toEqual([1, 1, 1, 1, 1, 1])
    expect(await run.result()).toBe(7)
  })

  test('hears of its job that a newer one of the same key supersedes, and of one that expires', async () => {
    const perKey = { maxLength: 1, whenAtLimit: 'CancelOldest' as const }
    await at('b').configure({ ...defaultSettings, ownerUid: 'me', perKey, expiresInMs: 50 })
    const start = async (id: string, options: object) => {
      const order = flow(id, { home: 'a', onJobFailure: 'continue' })
      order.add('a', 'last', null, { after: [order.add('b', 'one', null, options)] })
      const run = await client.start(order)
      await at('a').forward()
      return run
    }
    const keyed = await start('keyed', { key: 'acme' })
    const late = await start('late', {})
    await at('b').enqueue([newJob('own', null, { key: 'acme' })])
    await at('b').forward()
    expect(await keyed.facts()).toMatchObject({ state: 'failed', because: { job: 'one', how: 'cancelled' } })
    const expiresAtMs = Date.now() + 60
    await eventually(() => Date.now() > expiresAtMs)
    expect(await work()).toEqual([])
    expect(await late.facts()).toMatchObject({ because: { job: 'one', how: 'expired' } })
  })
})

test('10,000 jobs behind one, and 100 behind each of 1,000, are all set free', async () => {
  const hub = flow('hub')
  const one = hub.add('a', 'one', 1)
  for (let i = 0; i < 10_000; i += 1) hub.add('b', 'part', one.result, { name: `part.${i}` })
  const woven = flow('woven')
  const upper = woven.map(
    'a',
    'upper',
    Array.from({ length: 100 }, (_, i) => i),
  )
  for (let i = 0; i < 1_000; i += 1) woven.add('b', 'lower', upper.results, { name: `lower.${i}` })
  const runs = [await client.start(hub), await client.start(woven)]
  await work()
  const ends = await Promise.all(runs.map((run) => run.facts()))
  expect(ends.map((facts) => [facts?.state, facts?.completed])).toEqual([
    ['completed', 10_001],
    ['completed', 1_100],
  ])
}, 120_000)
