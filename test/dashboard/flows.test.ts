// Flows over the API: the list, the tree of one, cancel, retry; and what is cut of a large one.
import { connect, flow } from 'millhand/client'
import type { FlowDetails, FlowLine, FlowPlace, Flows, Job } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { matchOf } from '../../dashboard/src/server/input.ts'
import { routes } from '../../dashboard/src/server/routes.ts'
import { newJob } from '../../worker-runtime/src/job.ts'
import { openQueue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { NAMESPACE, type Served, serve } from './served.ts'

const NAME = `flows-${process.pid}`
const OTHER = `${NAME}-2`
const PATH = `queues/test/${NAME}/flows`
const redis = connectRedis(redisUrl())
const queue = openQueue(redis, `test.${NAME}`)
const client = connect({ redis: redisUrl(), namespace: NAMESPACE })
let served: Served
beforeAll(async () => {
  served = await serve({ redisUrl: redisUrl(), queues: [NAME, OTHER] })
})
afterAll(() => {
  served.stop()
  client.close()
  redis.close()
})

/** The answer, held against the schema of its route. */
async function ask<T>(method: string, path: string, body: object = {}): Promise<T> {
  const response = await served.call(method, path, method === 'GET' ? undefined : body)
  const answer: unknown = await response.json()
  expect({ status: response.status, ...(response.status !== 200 && { answer }) }).toEqual({ status: 200 })
  const { route } = matchOf(routes, method, `/${path.split('?')[0]}`)
  expect(route.kind === 'answer' && problemsOf(answer, route.answer)).toEqual([])
  return answer as T
}

async function refused(method: string, path: string) {
  const response = await served.call(method, path, method === 'GET' ? undefined : {})
  const { error } = (await response.json()) as { error: { code: string; message: string; state?: string } }
  return { status: response.status, ...error }
}

/** pay, then 20 parts, then ship, which waits for pay too. */
function order(id: string) {
  const built = flow(id)
  const pay = built.add(NAME, 'pay', null)
  const parts = built.map(OTHER, 'part', [...Array(20).keys()], { after: [pay] })
  built.add('undeclared', 'ship', parts.results, { after: [pay] })
  return client.start(built)
}

const one = (name: string, state: string, more: Partial<FlowLine> = {}) => ({
  ...{ name, depth: 0, jobs: 1, states: [{ state, jobs: 1 }], after: [], afterAll: 0, afterOpen: 0 },
  ...more,
})

test('a flow is a tree of its jobs, with what those that wait wait for', async () => {
  await order('tree')
  const { lines, ...facts } = await ask<FlowDetails>('GET', `${PATH}/tree`)
  expect(facts).toMatchObject({ id: 'tree', state: 'running', jobs: 22, enqueued: 1, waiting: 21 })
  expect(facts).toMatchObject({ can: ['cancel'], linesLeftOut: 0 })
  expect(facts.states).toEqual(
    expect.arrayContaining([
      { state: 'enqueued', jobs: 1 },
      { state: 'waiting', jobs: 21 },
    ]),
  )
  const parts = Array.from({ length: 20 }, (_, i) => `part.${i}`).sort()
  expect(lines).toEqual([
    one('pay', 'enqueued', { id: 'tree:pay', queueName: `test.${NAME}`, queue: `test/${NAME}`, behind: [] }),
    one('part.*', '', {
      ...{ depth: 1, jobs: 20, states: [{ state: 'waiting', jobs: 20 }] },
      ...{ queueName: `test.${OTHER}`, queue: `test/${OTHER}` },
      ...{ after: ['pay'], afterAll: 1, afterOpen: 1, behind: [0] },
    }),
    one('ship', 'waiting', {
      ...{ depth: 2, queueName: 'test.undeclared', afterAll: 21, afterOpen: 21 },
      after: expect.any(Array),
      behind: [0, 1],
    }),
  ])
  expect([...parts, 'pay']).toEqual(expect.arrayContaining([...(lines[2]?.after ?? [])]))
  expect(lines[2]?.after).toHaveLength(10)
  const job = await ask<Job>('GET', `queues/test/${NAME}/jobs/tree:pay`)
  expect(job).toMatchObject({ state: 'ready', flow: { id: 'tree', job: 'pay', queue: `test/${NAME}` } })
})

test('a job says which flow it belongs to, and where it stands there, also when it has ended', async () => {
  await order('place')
  const place = await ask<FlowPlace>('GET', `${PATH}/place/jobs/pay`)
  expect(place).toMatchObject({
    name: 'pay',
    state: 'enqueued',
    nextAll: 21,
    flow: { jobs: 22, enqueued: 1 },
  })
  expect(place.next).toHaveLength(10)
  expect(await ask('GET', `${PATH}/place/jobs/ship`)).toMatchObject({
    state: 'waiting',
    next: [],
    nextAll: 0,
  })
  expect(await refused('GET', `${PATH}/place/jobs/nobody`)).toMatchObject({
    status: 404,
    code: 'FLOW_NOT_FOUND',
  })
  await queue.cancel('place:pay')
  const ended = await ask<Job>('GET', `queues/test/${NAME}/jobs/place:pay`)
  expect(ended).toMatchObject({
    state: 'cancelled',
    flow: { id: 'place', job: 'pay', queue: `test/${NAME}` },
  })
  const letters = await client.queue(NAME).batch('circular')
  await letters.add([{ task: 'letter', input: null, options: { id: 'letter-1' } }])
  const letter = await ask<Job>('GET', `queues/test/${NAME}/jobs/letter-1`)
  expect(letter.flow).toEqual({ id: 'circular', queue: `test/${NAME}` })
  const [plain] = await queue.enqueue([newJob('plain', null, { id: 'place:nobody' })])
  expect(plain).toBe('created')
  await queue.cancel('place:nobody')
  expect(await ask('GET', `queues/test/${NAME}/jobs/place:nobody`)).not.toHaveProperty('flow')
})

test('a flow that has not moved is not read again; one that has is another version', async () => {
  await order('still')
  const look = (tag: string) => served.call('GET', `${PATH}/still`, undefined, { 'If-None-Match': tag })
  const first = await look('"none"')
  const tag = first.headers.get('etag') ?? ''
  expect([first.status, tag]).toEqual([200, expect.stringMatching(/^W\/"[\w-]{43}"$/)])
  const again = await look(tag)
  expect([again.status, await again.text(), again.headers.get('etag')]).toEqual([304, '', tag])
  await ask('POST', `${PATH}/still/cancel`)
  await eventually(async () => (await ask<FlowDetails>('GET', `${PATH}/still`)).state === 'cancelled')
  const moved = await look(tag)
  expect(moved.status).toBe(200)
  expect(moved.headers.get('etag')).not.toBe(tag)
})

test('jobs in one state are listed one by one, also those of a group', async () => {
  await order('states')
  const { lines, linesLeftOut } = await ask<FlowDetails>('GET', `${PATH}/states?state=waiting`)
  expect([lines.length, linesLeftOut, lines[0]?.name, lines[0]?.behind]).toEqual([21, 0, 'part.0', undefined])
  expect(lines.every(({ jobs, depth }) => jobs === 1 && depth === 0)).toBe(true)
  expect((await ask<FlowDetails>('GET', `${PATH}/states?state=buried`)).lines).toEqual([])
})

test('what is open comes first in what a job waits for', async () => {
  const built = flow('open')
  const before = ['a', 'b'].map((name) => built.add(NAME, 'task', null, { name, priority: 'urgent' }))
  built.add(NAME, 'last', null, { after: before })
  await client.start(built)
  const where = { process: 'p', podUid: 'u', pod: '', poolUid: '', node: '', isolationNote: '' }
  await queue.register({ worker: 'p:1', ...where, slots: 1, isolation: 'Spawn', version: '0' })
  const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })
  const ended = claims.map(({ id, token }) => ({
    id,
    token,
    verdict: 'completed' as const,
    text: '1 task 1\nnull',
  }))
  await queue.settleAndClaim({ worker: 'p:1', settlements: ended })
  await queue.deregister('p:1')
  const { lines } = await ask<FlowDetails>('GET', `${PATH}/open`)
  const [done = ''] = claims.map(({ id }) => id.slice('open:'.length))
  expect(lines.find(({ name }) => name === done)?.states).toEqual([{ state: 'completed', jobs: 1 }])
  const after = [done === 'a' ? 'b' : 'a', done]
  const last = lines.find((line) => line.name === 'last')
  expect(last).toMatchObject({ after, afterAll: 2, afterOpen: 1 })
})

test('a flow is cancelled and retried, with a reason in the log; too late is a conflict with its state', async () => {
  await order('acts')
  expect(await refused('POST', `${PATH}/acts/retry`)).toMatchObject({ status: 409, state: 'running' })
  const told = await ask('POST', `${PATH}/acts/cancel`, { reason: 'out of stock' })
  expect(told).toEqual({ id: 'acts', state: 'cancelling' })
  const { can, because, skipped, lines } = await eventually(async () => {
    const found = await ask<FlowDetails>('GET', `${PATH}/acts`)
    return found.state === 'cancelled' ? found : undefined
  })
  expect({ can, because, skipped }).toEqual({ can: ['retry'], because: { how: 'cancelled' }, skipped: 21 })
  expect(lines[2]).not.toHaveProperty('id')
  expect(await refused('POST', `${PATH}/acts/cancel`)).toMatchObject({
    ...{ status: 409, code: 'WRONG_STATE', state: 'cancelled' },
    message: 'flow acts is cancelled: a flow that runs can be cancelled',
  })
  expect(await ask('POST', `${PATH}/acts/retry`)).toEqual({ id: 'acts', state: 'running' })
  const again = await ask<FlowDetails>('GET', `${PATH}/acts`)
  expect(again).toMatchObject({ run: 2, enqueued: 1, lines: [{ id: 'acts:pay:2' }, {}, {}] })
  const isOfIt = ({ resource, ids = [] }: Record<string, unknown>) =>
    resource === 'flows' && (ids as unknown[]).includes('acts')
  const writes = served.log.filter(isOfIt)
  expect(writes).toMatchObject([
    { verb: 'retry', outcome: 'WRONG_STATE' },
    { verb: 'cancel', outcome: 'done', reason: 'out of stock', ids: ['acts'] },
    { verb: 'cancel', outcome: 'WRONG_STATE' },
    { verb: 'retry', outcome: 'done' },
  ])
})

test('a flow is retried from a job on, which the log names', async () => {
  const built = flow('from')
  built.add(NAME, 'late', null, { name: 'first', delayMs: 3_600_000 })
  await client.start(built)
  expect(await refused('POST', `${PATH}/from/retry`)).toMatchObject({ status: 409, state: 'running' })
  await queue.cancel('from:first')
  const nobody = await served.call('POST', `${PATH}/from/retry`, { from: 'nobody' })
  expect([nobody.status, await nobody.json()]).toMatchObject([
    404,
    { error: { message: 'flow from has no job nobody' } },
  ])
  expect(await ask('POST', `${PATH}/from/retry`, { from: 'first', reason: 'again' })).toEqual({
    id: 'from',
    state: 'running',
  })
  expect(served.log.at(-1)).toMatchObject({
    verb: 'retry',
    ids: ['from:first'],
    reason: 'again',
    outcome: 'done',
  })
})

test('a batch has numbers and no tree; its jobs are cancelled, not the batch', async () => {
  await client.queue(NAME).batch('letters')
  const { can, batch, lines } = await ask<FlowDetails>('GET', `${PATH}/letters`)
  expect({ can, batch, lines }).toEqual({ can: [], batch: 'open', lines: [] })
  expect(await refused('POST', `${PATH}/letters/cancel`)).toMatchObject({
    ...{ status: 409, code: 'WRONG_STATE' },
    message: expect.stringContaining('cancel the jobs of a batch'),
  })
})

test('a large flow comes in pages, and each answer stays below 1 MiB', async () => {
  const built = flow('l'.repeat(60))
  const name = (n: number) => `${n}-`.padEnd(60, 'x')
  const jobs = Array.from({ length: 700 }, (_, n) => n)
  let before: ReturnType<typeof built.add>[] = []
  for (const n of jobs)
    before = [...before.slice(-19), built.add(NAME, 'task', null, { name: name(n), after: before })]
  await client.start(built)
  const response = await served.call('GET', `${PATH}/${'l'.repeat(60)}`)
  const text = await response.text()
  expect(Buffer.byteLength(text)).toBeLessThan(1024 * 1024)
  const { lines, linesLeftOut, jobs: all, cursor } = JSON.parse(text) as FlowDetails
  expect([lines.length, linesLeftOut, all]).toEqual([500, 200, 700])
  expect(lines[30]).toMatchObject({ afterAll: 20, afterOpen: 20, depth: 30 })
  expect(lines[30]?.after).toHaveLength(10)
  const rest = await ask<FlowDetails>('GET', `${PATH}/${'l'.repeat(60)}?cursor=${cursor}`)
  expect([rest.lines.length, rest.linesLeftOut, rest.cursor]).toEqual([200, 0, undefined])
  expect(rest.lines.at(-1)).toMatchObject({ name: name(699), depth: 699 })
  const names = new Set([...lines, ...rest.lines].map((line) => line.name))
  expect(names.size).toBe(700)
})

test('flows are listed in pages, and a page goes on behind the last one, also when flows start and end between', async () => {
  const list = (query: string) => ask<Flows>('GET', `queues/test/${OTHER}/flows?limit=2${query}`)
  const start = (id: string) => {
    const built = flow(id)
    built.add(OTHER, 'task', null)
    return client.start(built)
  }
  for (const id of ['a', 'b', 'c', 'd']) await start(id)
  const first = await list('')
  expect(first.flows.map(({ id }) => id)).toEqual(['d', 'c'])
  await start('e')
  await (await start('d')).cancel()
  const second = await list(`&cursor=${encodeURIComponent(first.cursor ?? '')}`)
  expect(second.flows.map(({ id }) => id)).toEqual(['b', 'a'])
  const last = await list(`&cursor=${encodeURIComponent(second.cursor ?? '')}`)
  expect(last).toMatchObject({ total: 5, flows: [{ id: 'd', state: 'cancelled' }] })
  expect(last).not.toHaveProperty('cursor')
  expect(await refused('GET', `queues/test/${OTHER}/flows?cursor=nonsense`)).toMatchObject({ status: 400 })
})

test.each([
  ['GET', ''],
  ['POST', '/cancel'],
  ['POST', '/retry'],
])('%s of one that there is not: %s', async (method, verb) => {
  expect(await refused(method, `${PATH}/nobody${verb}`)).toMatchObject({
    status: 404,
    code: 'FLOW_NOT_FOUND',
  })
})
