// Each route of the API, over a real Redis and a real worker.

import { fileURLToPath } from 'node:url'
import type {
  AllJobsPage,
  Job,
  JobsPage,
  Queue,
  QueueNow,
  Snapshot,
  Why,
  Workers,
} from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { matchOf } from '../../dashboard/src/server/input.ts'
import { routes } from '../../dashboard/src/server/routes.ts'
import { prefixOf } from '../../worker-runtime/src/queue/keys.ts'
import { openQueue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'
import { type Served, serve, taskQueue, workerPool } from './served.ts'

const TASKS = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
const NAME = `api-${process.pid}`
const QUEUE = `queues/test/${NAME}`
const redis = connectRedis(redisUrl())
let served: Served
let worker: WorkerProcess

beforeAll(async () => {
  served = await serve({
    redisUrl: redisUrl(),
    queues: [NAME, `${NAME}-2`],
    pools: [workerPool('pool', { queues: [{ name: NAME }] })],
  })
  worker = await startWorker({ redisUrl: redisUrl(), queues: [NAME], modules: [TASKS], isolation: 'Spawn' })
}, 60_000)

afterAll(async () => {
  served.stop()
  await worker?.stop()
  redis.close()
})

/** The answer, held against the schema of its route. */
async function ask<T>(method: string, path: string, body?: unknown, status = 200): Promise<T> {
  const response = await served.call(method, path, body)
  const text = await response.text()
  expect({ status: response.status, ...(response.status !== status && { text }) }).toEqual({ status })
  expect(response.headers.get('cache-control')).toContain('no-store')
  const answer: unknown = JSON.parse(text)
  const { route } = matchOf(routes, method, `/${path.split('?')[0]}`)
  if (route.kind === 'answer' && status === 200) expect(problemsOf(answer, route.answer)).toEqual([])
  return answer as T
}

async function refused(method: string, path: string, body?: unknown) {
  const response = await served.call(method, path, body)
  const { error } = (await response.json()) as { error: { code: string; message: string; state?: string } }
  return { status: response.status, ...error }
}

const enqueue = (task: string, more: object = {}) =>
  ask<{ id: string; enqueued: string }>('POST', `${QUEUE}/jobs`, { task, ...more })

async function stateOf(id: string, state: string): Promise<Job> {
  return eventually(async () => {
    const job = await ask<Job>('GET', `${QUEUE}/jobs/${id}`)
    return job.state === state ? job : undefined
  })
}

test('a job whose unique key another one has is named by that one, and stays buried while it is there', async () => {
  const unique = { key: 'acme' }
  const { id } = await enqueue('throws', { input: { message: 'no' }, maxAttempts: 1, unique })
  await stateOf(id, 'buried')
  const other = await enqueue('noop', { unique, delayMs: 3_600_000 })
  expect(await enqueue('noop', { unique: { ...unique, forMs: 1_000 } })).toEqual({
    id: other.id,
    enqueued: 'duplicate',
  })
  expect(await refused('POST', `${QUEUE}/jobs/${id}/retry`)).toMatchObject({ status: 409, code: 'KEY_TAKEN' })
})

test('a job is enqueued, runs, and its result is waited for', async () => {
  const { id, enqueued } = await enqueue('succeeds', { input: { n: 1 } })
  expect(enqueued).toBe('created')
  const result = await ask<{ state: string; result: { text: string } }>(
    'GET',
    `${QUEUE}/jobs/${id}/result?waitMs=20000`,
  )
  expect(result.state).toBe('completed')
  expect(JSON.parse(result.result.text)).toMatchObject({ input: { n: 1 }, id })
  const job = await ask<Job>('GET', `${QUEUE}/jobs/${id}`)
  expect(job).toMatchObject({
    state: 'completed',
    task: 'succeeds',
    attempts: 1,
    can: ['delete'],
    isCancelling: false,
  })
  expect((await enqueue('succeeds', { id })).enqueued).toBe('completed')
})

test('a job that fails is buried, says why, is retried and is deleted', async () => {
  const { id } = await enqueue('throws', { input: { message: 'broken pipe' }, maxAttempts: 1 })
  const job = await stateOf(id, 'buried')
  expect(job.failures).toHaveLength(1)
  expect(job.failures[0]?.error).toMatchObject({ name: 'TypeError', message: 'broken pipe', code: 'E_TINY' })
  expect(job.can).toEqual(['retry', 'delete'])
  const page = await ask<JobsPage>(
    'GET',
    `${QUEUE}/jobs?filter=${encodeURIComponent(`state:failed id:${id}`)}`,
  )
  expect(page.jobs).toMatchObject([{ id, state: 'buried', why: expect.stringContaining('broken pipe') }])
  const buried = await ask<{ state: string; why: string }>('GET', `${QUEUE}/jobs/${id}/result`)
  expect(buried).toMatchObject({ state: 'buried', why: expect.stringContaining('broken pipe') })
  const payload = await ask<{ text: string }>('GET', `${QUEUE}/jobs/${id}/payload`)
  expect(payload).toMatchObject({ text: '{"message":"broken pipe"}', isCut: false, bytes: 25 })
  expect(await ask('POST', `${QUEUE}/jobs/${id}/retry`)).toEqual({ id, state: 'ready' })
  await stateOf(id, 'buried')
  expect(await ask('DELETE', `${QUEUE}/jobs/${id}`)).toEqual({ id, state: 'deleted' })
  expect(await refused('GET', `${QUEUE}/jobs/${id}`)).toMatchObject({ status: 404, code: 'JOB_NOT_FOUND' })
})

test('a job has a key and tags until it has ended, and is found by both', async () => {
  const [key, tags] = ['tenant-42', ['order:42', 'vip']]
  const { id } = await enqueue('noop', { key, tags, delayMs: 3_600_000 })
  for (const filter of [`key:${key}`, 'tag:order:42']) {
    const { jobs } = await ask<JobsPage>('GET', `${QUEUE}/jobs?filter=${encodeURIComponent(filter)}`)
    expect(jobs).toMatchObject([{ id, key, tags }])
  }
  expect(await ask<Job>('GET', `${QUEUE}/jobs/${id}`)).toMatchObject({ lane: `normal/${key}`, tags })
  await ask('POST', `${QUEUE}/jobs/${id}/cancel`)
  expect((await refused('POST', `${QUEUE}/jobs`, { task: 'noop', tags: ['a b'] })).status).toBe(400)
  const six = ['1', '2', '3', '4', '5', '6']
  expect((await refused('POST', `${QUEUE}/jobs`, { task: 'noop', tags: six })).status).toBe(400)
})

test('a running job is cancelled; what a job is too late for is a conflict with its state', async () => {
  const { id } = await enqueue('sleeps-forever')
  await stateOf(id, 'held')
  expect(await refused('POST', `${QUEUE}/jobs/${id}/retry`)).toMatchObject({ status: 409, state: 'held' })
  expect(await ask('POST', `${QUEUE}/jobs/${id}/cancel`)).toEqual({ id, state: 'cancelling' })
  await stateOf(id, 'cancelled')
  const again = await refused('POST', `${QUEUE}/jobs/${id}/cancel`)
  expect(again).toMatchObject({ status: 409, code: 'WRONG_STATE', state: 'cancelled' })
  expect(again.message).toContain(id)
  expect(await refused('DELETE', `${QUEUE}/jobs/nobody`)).toMatchObject({ status: 404 })
})

test('a pause is seen in the numbers, and in what is wrong', async () => {
  await ask('POST', `${QUEUE}/pause`, { reason: 'a look' })
  const { id } = await enqueue('noop')
  const why = await ask<Why>('GET', `${QUEUE}/jobs/${id}/why`)
  expect(why).toMatchObject({ id, state: 'ready', causes: [{ code: 'paused', text: expect.any(String) }] })
  const { queue, problems } = await eventually(async () => {
    const found = await ask<Queue>('GET', QUEUE)
    return found.queue.numbers?.isPaused && found.queue.numbers.ready === 1 ? found : undefined
  })
  expect(queue).toMatchObject({ name: NAME, queueName: `test.${NAME}`, pools: ['pool'] })
  expect(problems).toMatchObject([{ severity: 'warning', code: 'Paused', kind: 'TaskQueue', name: NAME }])
  expect(await ask('POST', `${QUEUE}/resume`)).toEqual({ isPaused: false })
  await stateOf(id, 'completed')
})

test('a rest of the queue is seen in the numbers, and is no problem: it passes', async () => {
  const rests = `${prefixOf(`test.${NAME}-2`)}rests`
  await redis.call('ZADD', rests, Date.now() + 60_000, '*')
  const { queue, problems } = await eventually(async () => {
    const found = await ask<Queue>('GET', `queues/test/${NAME}-2`)
    return found.queue.numbers?.restsMs === undefined ? undefined : found
  })
  expect(queue.numbers?.restsMs).toBeGreaterThan(30_000)
  expect(problems).toEqual([])
  await redis.call('DEL', rests)
})

test('a job that nobody serves says so, with its pools', async () => {
  const path = `queues/test/${NAME}-2/jobs`
  const { id } = await ask<{ id: string }>('POST', path, { task: 'noop' })
  const { causes } = await ask<Why>('GET', `${path}/${id}/why`)
  expect(causes.map(({ code }) => code)).toEqual(['no-workers', 'NoPool'])
  await ask('POST', `${path}/${id}/cancel`)
})

test('snapshot, queues, pools and workers agree', async () => {
  const snapshot = await eventually(
    async () => {
      const found = await ask<Snapshot>('GET', 'snapshot')
      return found.queues[0]?.numbers?.workers === 1 ? found : undefined
    },
    { withinMs: 10_000 },
  )
  const { queues } = await ask<{ queues: QueueNow[] }>('GET', 'queues')
  expect(queues.map(({ name }) => name)).toEqual([NAME, `${NAME}-2`])
  expect(snapshot.queues[0]?.numbers).toMatchObject({ workers: 1, draining: 0, slots: 2 })
  expect(snapshot.queues[1]?.numbers).toMatchObject({ ready: 0, workers: 0 })
  const { pools } = await ask<{ pools: { name: string }[] }>('GET', 'pools')
  expect(pools).toMatchObject([
    { name: 'pool', namespace: 'test', slots: 1, scaling: { maxReplicas: expect.any(Number) } },
  ])
  expect(await ask('GET', 'pools/test/pool')).toMatchObject({ name: 'pool' })
  const { workers, total } = await ask<Workers>('GET', `${QUEUE}/workers`)
  expect(total).toBe(1)
  expect(workers).toMatchObject([{ slots: 2, isAlive: true, isDraining: false, isolation: 'Spawn' }])
})

test('a page goes on where the one before ended', async () => {
  const other = openQueue(redis, `test.${NAME}-2`)
  const path = `queues/test/${NAME}-2/jobs`
  for (let i = 0; i < 7; i += 1)
    await ask('POST', path, { task: 'noop', id: `page-${i}`, delayMs: 60_000 + i * 1_000 })
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const query: string = `limit=3&filter=state:delayed${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}`
    const page = await ask<JobsPage>('GET', `${path}?${query}`)
    ids.push(...page.jobs.map(({ id }) => id))
    cursor = page.cursor
  } while (cursor !== undefined)
  expect(ids).toEqual([0, 1, 2, 3, 4, 5, 6].map((i) => `page-${i}`))
  expect((await other.depth()).delayed).toBe(7)
})

test('the jobs of all queues are one list, which goes on where a page ended, and names what cannot be read', async () => {
  const filter = encodeURIComponent('task:everywhere')
  const names = [NAME, `${NAME}-2`]
  for (const name of names)
    for (let i = 0; i < 3; i += 1) {
      const body = { task: 'everywhere', id: `all-${i}`, delayMs: 3_600_000 + i }
      await ask('POST', `queues/test/${name}/jobs`, body)
    }
  const all = names.flatMap((name) => [0, 1, 2].map((i) => `test/${name} all-${i}`))
  expect(await everywhere(`filter=${filter}&limit=2`)).toEqual({ found: all, unread: [] })
  const gone = encodeURIComponent(`test/${NAME}-1-that-was-deleted ready normal 0 x`)
  expect((await everywhere(`filter=${filter}`, gone)).found).toEqual(all.slice(3))
  const wrong = encodeURIComponent(`test/${NAME} of another filter`)
  expect(await refused('GET', `jobs?cursor=${wrong}`)).toMatchObject({
    status: 400,
    message: expect.stringContaining('cursor'),
  })
  const object = taskQueue('unready')
  const now = { ...object, status: undefined } as never
  served.objects.change('TaskQueue', { key: 'test/unready', now })
  expect(await everywhere(`filter=${filter}`)).toEqual({ found: all, unread: ['test/unready'] })
  served.objects.change('TaskQueue', { key: 'test/unready', before: object })
})

/** All pages: a server that is slow looks through fewer queues for one. */
async function everywhere(query: string, from?: string): Promise<{ found: string[]; unread: string[] }> {
  const found: string[] = []
  const unread: string[] = []
  for (let cursor = from, isFirst = true; isFirst || cursor !== undefined; isFirst = false) {
    const page = await ask<AllJobsPage>(
      'GET',
      `jobs?${query}${cursor === undefined ? '' : `&cursor=${cursor}`}`,
    )
    expect(page.isDone).toBe(page.cursor === undefined)
    found.push(...page.jobs.map(({ namespace, queue, id }) => `${namespace}/${queue} ${id}`))
    unread.push(...page.unread)
    cursor = page.cursor && encodeURIComponent(page.cursor)
  }
  return { found, unread }
}

test('who asks, the configuration, and health', async () => {
  const me = await ask<{ mode: string; can: Record<string, string[]> }>('GET', 'me')
  expect(me.mode).toBe('local')
  expect(me.can['*']).toContain('jobs retry')
  expect(await ask('GET', 'config')).toMatchObject({
    plant: 'up',
    isReadOnly: false,
    version: expect.any(String),
  })
  const health = await fetch(`${served.url}/healthz`)
  expect([health.status, await health.text()]).toEqual([200, 'ok\n'])
})

test.each([
  ['GET', `${QUEUE}/jobs?limit=500`, undefined, 400, /limit is 500; it must be at most 200/],
  ['GET', `${QUEUE}/jobs?limit=x`, undefined, 400, /limit is "x"; it must be a whole number/],
  ['GET', `${QUEUE}/jobs?filter=state:nope`, undefined, 400, /state/],
  ['GET', `${QUEUE}/jobs?cursor=nonsense%20x`, undefined, 400, /cursor/],
  ['GET', `${QUEUE}/jobs?what=1`, undefined, 400, /no field "what"; there are: filter, cursor, limit/],
  ['GET', 'queues/test/nobody', undefined, 404, /no TaskQueue test\/nobody/],
  ['GET', 'queues/TEST/x', undefined, 400, /namespace is "TEST"/],
  ['GET', 'queues/test/%E0%A4%A', undefined, 400, /percent-encoded/],
  ['GET', 'nothing', undefined, 404, /openapi.json/],
  ['DELETE', 'snapshot', undefined, 405, /it must be GET/],
  ['POST', `${QUEUE}/jobs`, { task: 'no spaces please' }, 400, /invalid task name/],
  ['POST', `${QUEUE}/jobs`, { task: 'noop', attempts: 3 }, 400, /no field "attempts"/],
  ['POST', `${QUEUE}/jobs`, {}, 400, /task is missing/],
  ['POST', `${QUEUE}/jobs`, { task: 'noop', delayMs: 1, atMs: 2 }, 400, /not both/],
  ['POST', `${QUEUE}/jobs`, '{"task":', 400, /not valid JSON/],
  ['POST', `${QUEUE}/jobs`, '[1]', 400, /must be an object/],
  ['POST', `${QUEUE}/jobs`, '{"task":"noop","input":12345678901234567890}', 400, /would get as/],
  ['POST', `${QUEUE}/jobs`, { task: 'noop', input: 'x'.repeat(300_000) }, 413, /takes at most 262144/],
  ['POST', `${QUEUE}/pause`, { reason: 'x'.repeat(70_000) }, 413, /it may have 65536 at most/],
  ['GET', `${QUEUE}/jobs/x/result?waitMs=999999`, undefined, 400, /at most 30000/],
])('%s %s is refused (%#)', async (method, path, body, status, says) => {
  const answer = await refused(method, path, body)
  expect(answer.status).toBe(status)
  expect(answer.message).toMatch(says)
})

test('a stranger gets nothing but health', async () => {
  const response = await fetch(`${served.url}/api/v1/snapshot`)
  expect(response.status).toBe(401)
  expect(await response.json()).toMatchObject({
    error: { code: expect.any(String), message: expect.any(String) },
  })
})

test('every write is a line of the audit log, refused ones too', async () => {
  const { id } = await enqueue('noop')
  await refused('POST', `${QUEUE}/jobs/nobody/retry`)
  const writes = served.log.filter(({ message }) => message === 'write by the dashboard')
  expect(writes.at(-2)).toMatchObject({
    resource: 'jobs',
    verb: 'create',
    queue: `test/${NAME}`,
    ids: [id],
    outcome: 'done',
  })
  expect(writes.at(-1)).toMatchObject({ verb: 'retry', ids: ['nobody'], outcome: 'JOB_NOT_FOUND' })
})

test('a queue that has not got its name in Redis is not touched', async () => {
  const object = taskQueue('thief', { queueName: `test.${NAME}` })
  const conditions = object.status?.conditions.map((each) => ({
    ...each,
    status: 'False',
    reason: 'NameTaken',
    message: 'another has it',
  }))
  served.objects.change('TaskQueue', {
    key: 'test/thief',
    now: { ...object, status: { ...object.status, conditions } } as never,
  })
  expect(await refused('GET', 'queues/test/thief/jobs')).toMatchObject({ status: 503, code: 'NameTaken' })
  expect(await refused('POST', 'queues/test/thief/pause')).toMatchObject({
    status: 503,
    message: 'another has it',
  })
  served.objects.change('TaskQueue', { key: 'test/thief', before: object })
})

test('a job that ran out of memory says where it goes on, and why it does not run there', async () => {
  const [small, big] = [`test.${NAME}-2`, `test.${NAME}-big`]
  const queue = openQueue(redis, small)
  const nothing = {
    pod: '',
    podUid: 'u',
    poolUid: '',
    node: '',
    isolation: '',
    isolationNote: '',
    version: '',
  }
  await queue.register({ ...nothing, worker: 'p:1', process: 'p', slots: 1 })
  await redis.call('HSET', `${prefixOf(small)}config`, 'escalateTo', big)
  const { id } = await ask<{ id: string }>('POST', `queues/test/${NAME}-2/jobs`, { task: 'noop' })
  const [claim] = (await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })).claims
  const text = JSON.stringify({ outcome: 'out-of-memory', message: 'too large' })
  const settlement = { id, token: claim?.token ?? '', verdict: 'failed' as const, text }
  await queue.settleAndClaim({ worker: 'p:1', settlements: [settlement] })
  await queue.forward()
  const job = await ask<Job>('GET', `queues/test/${NAME}-2/jobs/${id}`)
  expect(job).toMatchObject({ state: 'delayed', escalatedTo: big, failures: [{ outcome: 'out-of-memory' }] })
  expect(job).not.toHaveProperty('dueAtMs')
  const why = await ask<Why>('GET', `queues/test/${NAME}-2/jobs/${id}/why`)
  expect(why.causes.slice(0, 2)).toMatchObject([{ code: 'escalated', subject: big }, { code: 'no-workers' }])
  await ask('POST', `queues/test/${NAME}-2/jobs/${id}/cancel`)
  await redis.call('HDEL', `${prefixOf(small)}config`, 'escalateTo')
})
