// What the verbs promise beyond the life of a single job, which state-machine.test.ts covers: order, limits, slices, bounds.
import {
  type Connection,
  connectRedis,
  defaultSettings,
  type JobOptions,
  newJob,
  openQueue,
  prefixOf,
  type Queue,
  QueueRefused,
  stirredChannel,
} from 'millhand/queue'
import { DISMISSED, workerChannel } from '../../../worker-runtime/src/queue/keys.ts'
import { census } from '../../census.ts'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'

let redis: Connection
let queue: Queue
let tests = 0
beforeAll(() => {
  redis = connectRedis(redisUrl())
})
afterAll(() => redis.close())
beforeEach(() => {
  tests += 1
  queue = openQueue(redis, `verbs.${process.pid}-${tests}`)
})
afterEach(async () => {
  expect((await census(redis, queue.name)).problems).toEqual([])
})

const register = (worker: string, podUid = worker, where = { pod: '', node: '' }) =>
  queue.register({
    worker,
    process: worker.split(':')[0] ?? '',
    ...where,
    podUid,
    poolUid: '',
    slots: 1,
    isolation: 'Spawn',
    isolationNote: '',
    version: '0',
  })
const enqueue = (count: number, options: JobOptions = {}, payload: unknown = null) =>
  queue.enqueue(Array.from({ length: count }, () => newJob('task', payload, options)))
const claim = async (worker: string, wanted: number) =>
  (await queue.settleAndClaim({ worker, wanted })).claims
const settle = (
  worker: string,
  claims: readonly { id: string; token: string }[],
  verdict: 'completed' | 'failed' | 'terminal',
) =>
  queue.settleAndClaim({
    worker,
    settlements: claims.map(({ id, token }) => ({
      id,
      token,
      verdict,
      text: verdict === 'completed' ? '1 task 1\nnull' : '{"outcome":"failed"}',
    })),
  })

describe('a claim', () => {
  test('serves jobs of one priority in the order in which they came', async () => {
    const jobs = Array.from({ length: 30 }, () => newJob('task', null))
    await queue.enqueue(jobs)
    await register('p:1')
    const ids = [...(await claim('p:1', 10)), ...(await claim('p:1', 20))].map(({ id }) => id)
    expect(ids).toEqual(jobs.map(({ id }) => id))
  })

  test('serves the four priorities by their weights 8 4 2 1, and starves none', async () => {
    for (const priority of ['low', 'normal', 'high', 'urgent'] as const) await enqueue(150, { priority })
    await register('p:1')
    const lanes: Record<string, number> = {}
    for (let i = 0; i < 15; i += 1)
      for (const { envelope } of await claim('p:1', 10)) {
        const lane = envelope.split(' ')[1] ?? ''
        lanes[lane] = (lanes[lane] ?? 0) + 1
      }
    // A share is cut off at the end of a claim, so one or two more or less.
    for (const [lane, share] of Object.entries({ urgent: 80, high: 40, normal: 20, low: 10 }))
      expect(Math.abs((lanes[lane] ?? 0) - share)).toBeLessThanOrEqual(2)
  })

  test('takes the most urgent job first when all came at once', async () => {
    await enqueue(1, { priority: 'low' })
    await enqueue(1)
    await enqueue(1, { priority: 'urgent' })
    await register('p:1')
    expect((await claim('p:1', 1))[0]?.envelope).toMatch(/^20 urgent /)
  })

  test('carries at most 4 MB, but always one job', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', maxPayloadBytes: 5_000_000 })
    await enqueue(6, {}, 'x'.repeat(1_500_000))
    await enqueue(1, {}, 'x'.repeat(4_500_000))
    await register('p:1')
    const sizes: number[] = []
    for (let i = 0; i < 5; i += 1) sizes.push((await claim('p:1', 10)).length)
    expect(sizes).toEqual([2, 2, 2, 1, 0])
  })

  test('that is cut off at 4 MB is charged to its lane all the same', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', maxPayloadBytes: 1_000_000 })
    for (const priority of ['urgent', 'low'] as const) await enqueue(20, { priority }, 'x'.repeat(900_000))
    await register('p:1')
    const lanes = new Set<string>()
    for (let i = 0; i < 4; i += 1)
      for (const { envelope } of await claim('p:1', 8)) lanes.add(envelope.slice(3, 6))
    expect([...lanes].sort()).toEqual(['low', 'urg'])
  })

  test('takes nothing above limits.maxBusy, nothing while suspended or paused, and nothing for a pod that drains', async () => {
    const settings = { ...defaultSettings, ownerUid: 'test' }
    await queue.configure({ ...settings, maxBusy: 3 })
    await enqueue(20)
    await register('p:1', 'pod-1')
    await register('p:2', 'pod-2')
    const held = await claim('p:1', 2)
    expect(held).toHaveLength(2)
    expect(await claim('p:2', 10)).toHaveLength(1)
    expect(await claim('p:2', 10)).toHaveLength(0)
    await settle('p:1', held, 'completed')
    expect(await claim('p:2', 10)).toHaveLength(2)
    await queue.configure({ ...settings, suspended: true })
    expect(await queue.settleAndClaim({ worker: 'p:1', wanted: 5 })).toMatchObject({
      status: 'closed',
      claims: [],
    })
    await queue.configure(settings)
    await queue.pause()
    expect(await queue.settleAndClaim({ worker: 'p:1', wanted: 5 })).toMatchObject({
      status: 'closed',
      claims: [],
    })
    await queue.resume()
    await queue.drain(['pod-1'], 60_000)
    expect(await queue.settleAndClaim({ worker: 'p:1', wanted: 5 })).toMatchObject({
      status: 'draining',
      claims: [],
    })
    expect(await claim('p:2', 1)).toHaveLength(1)
    await queue.drain(['pod-1'], 1)
    await eventually(async () => (await claim('p:1', 1)).length === 1, { what: 'the mark runs out' })
  })

  test('of a paused queue that the operator configures anew stays refused: the pause is a person’s', async () => {
    await enqueue(1)
    await register('p:1')
    await queue.pause()
    await queue.configure({ ...defaultSettings, ownerUid: 'test' })
    expect((await queue.depth()).paused).toBe(true)
    expect(await claim('p:1', 1)).toEqual([])
  })
})

describe('an enqueue', () => {
  test('over the payload or the length limit says so and writes nothing', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', maxPayloadBytes: 100, maxLength: 5 })
    const tooLarge = await queue
      .enqueue([newJob('task', 'small'), newJob('task', 'x'.repeat(200))])
      .catch((error) => error)
    expect(tooLarge).toBeInstanceOf(QueueRefused)
    expect(tooLarge.message).toMatch(
      /202 bytes; queue verbs\.\S+ takes at most 100 \(spec\.limits\.maxPayload\)/,
    )
    await enqueue(4)
    await expect(enqueue(2)).rejects.toMatchObject({ code: 'QUEUE_FULL' })
    expect((await queue.depth()).ready).toBe(4)
  })

  test('that is repeated at the length limit is no refusal, and cancelled jobs take no room', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', maxLength: 2 })
    const jobs = [newJob('task', 1, { id: 'a' }), newJob('task', 1, { id: 'b' })]
    await queue.enqueue(jobs)
    expect(await queue.enqueue(jobs)).toEqual(['ready', 'ready'])
    await expect(enqueue(1)).rejects.toMatchObject({ code: 'QUEUE_FULL' })
    await queue.cancel('a')
    expect(await enqueue(1)).toEqual(['created'])
  })

  test('of a known id answers in which state it is, and changes nothing', async () => {
    const again = (id: string) => queue.enqueue([newJob('task', 'other', { id })])
    await queue.enqueue([newJob('task', 1, { id: 'a' }), newJob('task', 1, { id: 'b', delayMs: 60_000 })])
    expect([await again('a'), await again('b')]).toEqual([['ready'], ['delayed']])
    await register('p:1')
    const [held] = await claim('p:1', 1)
    expect(await again('a')).toEqual(['held'])
    await settle('p:1', held ? [held] : [], 'completed')
    expect(await again('a')).toEqual(['completed'])
    expect((await queue.depth()).counts.enqueued).toBe(2)
  })

  test('of a second owner of the name is refused', async () => {
    expect(await queue.configure({ ...defaultSettings, ownerUid: 'first' })).toBe('configured')
    expect(await queue.configure({ ...defaultSettings, ownerUid: 'second' })).toBe('name-taken')
  })
})

describe('what is kept', () => {
  test('of completed jobs is bounded by count, also when an id is used again', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', completedMaxCount: 10 })
    await register('p:1')
    await enqueue(100)
    for (let i = 0; i < 10; i += 1) await settle('p:1', await claim('p:1', 10), 'completed')
    const { states } = await census(redis, queue.name)
    expect(states.size).toBe(10)
    expect((await queue.jobs('completed')).length).toBe(10)
  })

  test('of a first life of an id does not take its second life away when it leaves the list', async () => {
    await queue.configure({
      ...defaultSettings,
      ownerUid: 'test',
      completedMaxCount: 3,
      completedMaxAgeMs: 30,
    })
    await register('p:1')
    await queue.enqueue([newJob('task', 1, { id: 'twice' })])
    await settle('p:1', await claim('p:1', 1), 'completed')
    await eventually(async () => (await queue.job('twice')) === undefined, {
      what: 'its outcome has run out',
    })
    await queue.enqueue([newJob('task', 2, { id: 'twice', delayMs: 60_000 })])
    await enqueue(5)
    await settle('p:1', await claim('p:1', 5), 'completed')
    expect(await queue.job('twice')).toMatchObject({ state: 'delayed' })
    await eventually(async () => (await census(redis, queue.name)).states.size === 1, {
      what: 'the others have run out',
    })
  })

  test('of a second life of an id is neither its tombstone nor two holders, when a cancelled one is used a third time', async () => {
    await queue.configure({
      ...defaultSettings,
      ownerUid: 'test',
      completedMaxCount: 2,
      completedMaxAgeMs: 30,
    })
    await register('p:1')
    const daily = () => queue.enqueue([newJob('task', 1, { id: 'daily' })])
    await daily()
    await settle('p:1', await claim('p:1', 1), 'completed')
    await eventually(async () => (await queue.job('daily')) === undefined, {
      what: 'its outcome has run out',
    })
    await daily()
    expect(await queue.cancel('daily')).toBe('cancelled')
    await enqueue(4, { priority: 'urgent' })
    await settle('p:1', await claim('p:1', 4), 'completed')
    expect(await daily()).toEqual(['created'])
    expect(await claim('p:1', 5)).toHaveLength(1)
  })

  test('of buried jobs is bounded by count, oldest first, and deleting frees all keys', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', buriedMaxCount: 5 })
    await register('p:1')
    await enqueue(8)
    for (let i = 0; i < 8; i += 1) await settle('p:1', await claim('p:1', 1), 'terminal')
    const buried = await queue.jobs('buried')
    expect(buried).toHaveLength(5)
    expect(await queue.delete(buried.map(({ id }) => id))).toEqual(Array(5).fill('deleted'))
    expect((await census(redis, queue.name)).states.size).toBe(0)
  })

  test('of a job that fails for ever is its last five attempts', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', maxAttempts: 20, backoffMs: 0 })
    await register('p:1')
    await queue.enqueue([newJob('task', null, { id: 'bad' })])
    for (let i = 0; i < 9; i += 1) await settle('p:1', await claim('p:1', 1), 'failed')
    const details = await queue.job('bad')
    expect(details?.failures).toHaveLength(5)
    expect(details?.attempts).toBe(9)
  })
})

test('a running job is not cancelled for an earlier one with its id, which its worker held too', async () => {
  await queue.configure({ ...defaultSettings, ownerUid: 'verbs', completedMaxAgeMs: 0 })
  await register('p:1')
  const enqueueX = () => queue.enqueue([newJob('task', null, { id: 'x' })])
  await enqueueX()
  const first = await claim('p:1', 1)
  expect(await queue.cancel('x')).toBe('cancelling')
  expect(await queue.renew('p:1')).toMatchObject({ cancelled: ['x'] })
  expect((await settle('p:1', first, 'completed')).became).toEqual(['completed'])
  expect(await enqueueX()).toEqual(['created'])
  expect(await claim('p:1', 1)).toMatchObject([{ id: 'x' }])
  expect(await queue.renew('p:1')).toMatchObject({ held: 1, cancelled: [] })
})

describe('a cancelled job that was ready', () => {
  const at = (key: string) => prefixOf(queue.name) + key
  const enqueueX = (options: JobOptions = {}) =>
    queue.enqueue([newJob('task', null, { ...options, id: 'x' })])

  test('has its time to live from the cancel on, and its id is free after that, whether a claim met its entry or not', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', completedMaxAgeMs: 300 })
    await enqueueX()
    expect(await queue.cancel('x')).toBe('cancelled')
    expect(Number(await redis.call('PTTL', at('job:x')))).toBeGreaterThan(0)
    expect(await enqueueX()).toEqual(['cancelled'])
    await eventually(async () => (await enqueueX())[0] === 'created', { what: 'the id is free' })
    expect(await queue.depth()).toMatchObject({ ready: 1 })
    await register('p:1')
    expect((await claim('p:1', 5)).map(({ id }) => id)).toEqual(['x'])
    expect(await redis.call('EXISTS', at('tombstones'))).toBe(0)
  })

  test('is forgotten at once where the queue keeps nothing', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', completedMaxAgeMs: 0 })
    await enqueue(1)
    await enqueueX()
    expect(await queue.cancel('x')).toBe('cancelled')
    expect(await queue.job('x')).toBeUndefined()
    expect(await queue.jobs('ready')).toHaveLength(1)
    expect(await queue.depth()).toMatchObject({ ready: 1 })
    for (const options of [{ priority: 'urgent' as const }, { delayMs: 60_000 }, {}]) {
      expect(await enqueueX(options)).toEqual(['created'])
      expect((await census(redis, queue.name)).problems).toEqual([])
      expect(await queue.cancel('x')).toBe('cancelled')
    }
    await register('p:1')
    expect(await claim('p:1', 5)).toHaveLength(1)
    expect(await queue.depth()).toMatchObject({ ready: 0 })
  })

  test('is not listed among the ready ones, and pages of the others are full', async () => {
    await enqueue(5)
    await enqueue(1_200)
    const all = (await queue.jobs('ready', { limit: 1_000 })).map(({ id }) => id)
    for (const id of all.slice(0, 5)) await queue.cancel(id)
    const page = await queue.jobs('ready', { limit: 3 })
    expect(page.map(({ id }) => id)).toEqual(all.slice(5, 8))
    expect((await queue.depth()).oldestReadyMs).toBeGreaterThanOrEqual(0)
    expect((await queue.jobs('completed')).map(({ state }) => state)).toEqual(Array(5).fill('cancelled'))
  })

  test('takes no room that a new job needs, also where an id stands twice in one call', async () => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', maxLength: 2 })
    await enqueueX()
    const y = newJob('task', null, { id: 'y' })
    expect(await queue.enqueue([y, y])).toEqual(['created', 'ready'])
    expect((await claimAll()).map(({ id }) => id)).toEqual(['x', 'y'])
  })

  const claimAll = async () => {
    await register('p:1')
    return claim('p:1', 10)
  }
})

test('an ended job can be deleted, and its id used anew', async () => {
  await register('p:1')
  const jobs = ['done', 'waits'].map((id) => newJob('task', null, { id }))
  await queue.enqueue(jobs.slice(0, 1))
  await settle('p:1', await claim('p:1', 1), 'completed')
  await queue.enqueue(jobs)
  expect(await queue.delete(['done', 'done', 'waits', 'never'])).toEqual([
    'deleted',
    'unknown',
    'ready',
    'unknown',
  ])
  expect(await queue.jobs('completed')).toEqual([])
  expect(await queue.enqueue(jobs)).toEqual(['created', 'ready'])
})

test('the same attempt settled twice in one call is settled once', async () => {
  await register('p:1')
  await enqueue(3)
  const [a, b, c] = await claim('p:1', 3)
  if (!a || !b || !c) throw new Error('three were claimed')
  const settlement = ({ id, token }: typeof a, verdict: 'completed' | 'handed-back') => ({
    id,
    token,
    verdict,
    text: '1 task 1\nnull',
  })
  const { became, claims } = await queue.settleAndClaim({
    worker: 'p:1',
    settlements: [
      settlement(a, 'completed'),
      settlement(a, 'completed'),
      settlement(b, 'handed-back'),
      settlement(b, 'handed-back'),
      settlement(c, 'handed-back'),
      settlement(c, 'completed'),
    ],
    wanted: 10,
  })
  expect(became).toEqual(['completed', 'not-yours', 'ready', 'not-yours', 'ready', 'not-yours'])
  expect(claims.map(({ id }) => id).sort()).toEqual([b.id, c.id].sort())
  expect((await queue.depth()).counts).toMatchObject({ busy: 2, completed: 1 })
})

test.each(['completed', 'handed-back', 'failed', 'terminal', 'cancelled'] as const)(
  '10,000 attempts of one worker are found after a lost answer, and settled in one call as %s',
  async (verdict) => {
    await queue.configure({ ...defaultSettings, ownerUid: 'test', completedMaxCount: 9_000 })
    await register('p:1')
    for (let i = 0; i < 10; i += 1) {
      await enqueue(1_000)
      await claim('p:1', 1_000)
    }
    const answer = await queue.resync('p:1', 1)
    const held = answer.kind === 'alive' ? answer.held : []
    expect(held).toHaveLength(10_000)
    const text = verdict === 'completed' ? '1 task 1\nnull' : '{"outcome":"failed"}'
    const settlements = held.map(({ id, token }) => ({ id, token, verdict, text }))
    const { became } = await queue.settleAndClaim({ worker: 'p:1', sequence: 1, settlements })
    expect(became).toHaveLength(10_000)
    expect(became).not.toContain('not-yours')
    expect((await queue.depth()).busy).toBe(0)
    expect((await queue.jobs('completed', { limit: 1_000 })).length).toBe(
      verdict === 'completed' || verdict === 'cancelled' ? 1_000 : 0,
    )
  },
  60_000,
)

describe('an enqueue of one job into a backlog', () => {
  test('writes and answers the same where the queue has its usual settings as where each is asked for', async () => {
    const usual = queue
    const asked = openQueue(redis, `${queue.name}-asked`)
    const add = (to: Queue, id: string, options: JobOptions = {}) =>
      to.enqueue([newJob('task', { id }, { id, ...options })])
    const histories: [Awaited<ReturnType<typeof add>>[], unknown][] = []
    for (const to of [usual, asked]) {
      const key = (name: string) => prefixOf(to.name) + name
      const answers = [await add(to, 'first')]
      if (to === asked) await redis.call('HDEL', key('config'), 'usual')
      answers.push(await add(to, 'second'), await add(to, 'first'))
      answers.push(await add(to, 'opens-a-lane', { priority: 'high' }))
      answers.push(await add(to, 'opens-no-lane', { priority: 'high', maxAttempts: 3 }))
      answers.push(await add(to, 'later', { delayMs: 3_600_000 }))
      await redis.call('HINCRBY', key('counts'), 'enqueued', -3)
      answers.push(await add(to, 'after-a-loss'))
      await redis.call('HINCRBY', key('counts'), 'enqueued', -2)
      answers.push(await add(to, 'opens-after-a-loss', { priority: 'low' }))
      histories.push([answers, await contentsOf(to)])
    }
    expect(histories[0]).toEqual(histories[1])
    expect(histories[0]?.[0].flat()).toEqual([
      ...['created', 'created', 'ready', 'created', 'created', 'created', 'created', 'created'],
    ])
  })
})

/** The lists, counters and envelopes of a queue, without times. */
async function contentsOf({ name }: Queue): Promise<unknown> {
  const prefix = prefixOf(name)
  const lanes = ['urgent', 'high', 'normal', 'low']
  const lists = await Promise.all(lanes.map((lane) => redis.call('LRANGE', `${prefix}ready:${lane}`, 0, -1)))
  const ids = [
    ...lists.flat().map(String),
    ...((await redis.call('ZRANGE', `${prefix}delayed`, 0, -1)) as string[]),
  ]
  const jobs = await Promise.all(ids.map((id) => redis.call('GET', `${prefix}job:${id}`)))
  const counts = (await redis.call('HGETALL', `${prefix}counts`)) as string[]
  return {
    lists,
    turns: await redis.call('ZRANGE', `${prefix}lanes`, 0, -1, 'WITHSCORES'),
    counts: counts
      .join(' ')
      .replace(/\d{13}/g, 'ms')
      .split(/ (?=[a-z])/)
      .toSorted(),
    jobs: jobs.map((text) => String(text).replaceAll(/\d{13}/g, '…')),
    wake: await redis.call('EXISTS', `${prefix}wake`),
  }
}

test('a job that is due counts as ready, and its age from then on: not from the enqueue, and not anew when a claim moves it', async () => {
  await queue.configure({ ...defaultSettings, ownerUid: 'test', maxBusy: 1 })
  await register('p:1')
  await enqueue(1)
  const held = await claim('p:1', 1)
  await queue.enqueue([1, 2].map(() => newJob('task', null, { delayMs: 500, maxAttempts: 4 })))
  expect(await queue.depth()).toMatchObject({ ready: 0, delayed: 2 })
  const due = await eventually(async () => {
    const depth = await queue.depth()
    return depth.ready === 2 && depth
  })
  expect(due).toMatchObject({ delayed: 0, due: 2 })
  const nowMs = async () => {
    const [s, us] = (await redis.call('TIME')) as [string, string]
    return Number(s) * 1000 + Number(us) / 1000
  }
  // When it became ready, by the two clocks of one server: the same moment, whenever one looks.
  const sinceMs = async () => {
    const before = await nowMs()
    const { oldestReadyMs = Number.NaN } = await queue.depth()
    return [before - oldestReadyMs - 1, (await nowMs()) - oldestReadyMs]
  }
  const [, latest = 0] = await sinceMs()
  expect(await claim('p:1', 1)).toEqual([])
  expect(await queue.depth()).toMatchObject({ ready: 2, delayed: 0, due: 0 })
  const [earliest = 0] = await sinceMs()
  expect(earliest).toBeLessThanOrEqual(latest)
  await settle('p:1', held, 'completed')
})

describe('a reap', () => {
  test('of 5,000 held jobs goes slice by slice, and one that was interrupted is taken up by the next', async () => {
    await register('p:1')
    await register('q:1')
    for (let i = 0; i < 5; i += 1) {
      await enqueue(1_000)
      await claim('p:1', 1_000)
    }
    expect(await claim('q:1', 10)).toEqual([])
    expect(await queue.reapProcess({ process: 'p', reason: 'it is gone' })).toBe(5_000)
    expect(await queue.reapProcess({ process: 'p', reason: 'it is gone' })).toBe(0)
    expect((await queue.depth()).counts).toMatchObject({ lost: 5_000, busy: 0 })
    expect(await claim('q:1', 10)).toHaveLength(10)
    expect((await queue.workers()).map(({ name }) => name)).toEqual(['q:1'])
  })

  test('of a worker whose pod has a new one needs no waiting; what was not its fault is not counted', async () => {
    await register('p:1', 'pod')
    await enqueue(2)
    await claim('p:1', 2)
    expect(await register('q:1', 'pod')).toMatchObject({ dead: ['p:1'] })
    expect(await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })).toMatchObject({ status: 'dead' })
    await queue.reap({ worker: 'p:1', evidence: 'sure', reason: 'evicted', counting: 'uncounted' })
    const [first] = await claim('q:1', 1)
    expect(first).toMatchObject({ attempt: 1, crashes: 0 })
    const job = await queue.job(first?.id ?? '')
    expect(job).toMatchObject({
      attempts: 1,
      crashes: 0,
      failures: [{ outcome: 'worker-lost', message: 'evicted' }],
    })
  })

  test('tells where the worker was, and what its attempts had used when it last said so', async () => {
    await register('p:1', 'uid', { pod: 'mail-abc', node: 'node2' })
    const ids = ['short', 'long', 'shared']
    await queue.enqueue(ids.map((id) => newJob('task', null, { id })))
    const claims = await claim('p:1', 3)
    const tokenOf = (wanted: string) => claims.find(({ id }) => id === wanted)?.token ?? ''
    await queue.renew('p:1', {
      used: [
        { token: '0', maxRssBytes: 1, cpuUserMs: 1, cpuSystemMs: 1 },
        { token: tokenOf('long'), maxRssBytes: 3e8, cpuUserMs: 700, cpuSystemMs: 20 },
        { token: tokenOf('shared'), maxRssBytes: 5e10 },
      ],
    })
    await queue.reap({ worker: 'p:1', evidence: 'sure', reason: 'OOMKilled \ud83d' })
    const recordOf = async (id: string) => (await queue.job(id))?.failures[0]
    const [short, long, shared] = await Promise.all(ids.map(recordOf))
    const there = {
      outcome: 'worker-lost',
      message: 'OOMKilled \ufffd',
      worker: 'p:1',
      pod: 'mail-abc',
      node: 'node2',
    }
    expect(short).toEqual({ ...there, group: expect.any(String), endedAtMs: expect.any(Number) })
    expect(long).toEqual({ ...short, maxRssBytes: 3e8, cpuUserMs: 700, cpuSystemMs: 20 })
    expect(shared).toEqual({ ...short, maxRssBytes: 5e10 })
  })

  test('is not needed of a worker that is dismissed: it is told, and nobody else is', async () => {
    const [heard, messages] = [[] as string[], connectRedis(redisUrl())]
    for (const worker of ['p:1', 'q:1'])
      await messages.subscribe(workerChannel(queue.name, 0, worker), (what) =>
        heard.push(`${worker} ${what}`),
      )
    expect(await queue.dismiss('p:1')).toBe(true)
    expect(await queue.dismiss('r:1')).toBe(false)
    await eventually(() => heard.length > 0)
    expect(heard).toEqual([`p:1 ${DISMISSED}`])
    messages.close()
  })

  test('without evidence leaves a living worker alone', async () => {
    await register('p:1')
    await enqueue(1)
    await claim('p:1', 1)
    expect(await queue.reap({ worker: 'p:1', evidence: 'silent', reason: 'rumour' })).toBe(0)
    expect((await queue.depth()).busy).toBe(1)
  })
})

test.each([
  ['too low', 2, -5],
  ['too high', 0, 7],
])(
  'a counter of ready jobs that a foreign write has made %s is right after the next renewal',
  async (_how, jobs, ready) => {
    await register('p:1')
    if (jobs > 0) await enqueue(jobs)
    await redis.call('HSET', `${prefixOf(queue.name)}counts`, 'ready', ready)
    await queue.renew('p:1')
    expect(await queue.depth()).toMatchObject({ ready: jobs })
    expect(await redis.call('EXISTS', `${prefixOf(queue.name)}wake`)).toBe(jobs > 0 ? 1 : 0)
  },
)

test('a retry by hand resets attempts and crashes and keeps what happened', async () => {
  await register('p:1')
  await queue.enqueue([newJob('task', null, { id: 'again', maxAttempts: 1 })])
  await settle('p:1', await claim('p:1', 1), 'failed')
  expect(await queue.job('again')).toMatchObject({ state: 'buried', attempts: 1 })
  expect(await queue.retry(['again', 'unknown'])).toEqual(['ready', 'unknown'])
  expect((await claim('p:1', 1))[0]).toMatchObject({ attempt: 1, crashes: 0 })
  expect((await queue.job('again'))?.failures).toHaveLength(1)
})

test('says on a channel when there may be something to do for who starts workers: a first job, a retry by hand, a pause, its end', async () => {
  const messages = connectRedis(redisUrl())
  try {
    let stirs = 0
    await messages.subscribe(stirredChannel(queue.name, 0), () => {
      stirs += 1
    })
    const said = async (what: () => Promise<unknown>) => {
      const before = stirs
      await what()
      // An answer to this connection comes after what was published before.
      await messages.subscribe(`${queue.name}-last`, () => {})
      return stirs - before
    }
    expect(await said(() => enqueue(1))).toBe(1)
    expect(await said(() => enqueue(1))).toBe(0)
    await register('w:1')
    await settle('w:1', await claim('w:1', 2), 'terminal')
    const buried = (await queue.jobs('buried')).map(({ id }) => id)
    expect(await said(() => queue.retry(buried))).toBe(1)
    expect(await said(() => queue.pause())).toBe(1)
    expect(await said(() => queue.resume())).toBe(1)
  } finally {
    messages.close()
  }
})
