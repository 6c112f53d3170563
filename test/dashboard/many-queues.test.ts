// More queues and pools than one answer holds: lists come in pages that leave nothing out, and nobody is told that all is well because the
// queue in trouble is far behind.

import type { TaskQueueObject } from '../../control/src/resources/task-queue.ts'
import type { Pools, Queues, RecentHistory, Snapshot } from '../../dashboard/src/api.ts'
import { Snapshot as SnapshotSchema } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { newJob } from '../../worker-runtime/src/job.ts'
import { openQueue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { eventually } from '../eventually.ts'
import { Monitor } from '../monitor.ts'
import { redisUrl } from '../redis.ts'
import { RedisServer } from '../redis-server.ts'
import { NAMESPACE, type Served, serve, taskQueue, workerPool } from './served.ts'

const numbered = (name: string, count: number) =>
  Array.from({ length: count }, (_, n) => `${name}-${String(n).padStart(3, '0')}`)
const QUEUES = numbered('queue', 500)
const POOLS = numbered('pool', 300)
const TROUBLED = 'queue-450'

/** Made once and named often: a manifest is checked against its schema. */
const [aQueue, aPool] = [taskQueue('x'), workerPool('x', { queues: [{ name: 'queue-000' }] })]
function queueNamed(name: string): TaskQueueObject {
  if (!aQueue.status) throw new Error('it has a status')
  const status = { ...aQueue.status, queueName: `${NAMESPACE}.${name}` }
  return { ...aQueue, metadata: { ...aQueue.metadata, name, uid: `uid-${name}` }, status }
}

/** As its controller leaves it when its Redis is away. */
function troubled(): TaskQueueObject {
  const object = queueNamed(TROUBLED)
  const [ready] = object.status?.conditions ?? []
  if (!object.status || !ready) throw new Error('it has a condition')
  const away = { ...ready, status: 'False', reason: 'RedisUnreachable', message: 'no answer' } as const
  return { ...object, status: { ...object.status, conditions: [away] } }
}

let served: Served
beforeAll(async () => {
  served = await serve({
    redisUrl: redisUrl(),
    queues: QUEUES.map((name) => (name === TROUBLED ? troubled() : queueNamed(name))),
    pools: POOLS.map((name) => ({ ...aPool, metadata: { ...aPool.metadata, name, uid: `uid-${name}` } })),
  })
})
afterAll(() => served.stop())

type Page = Queues | Pools
const rowsOf = (page: Page) => ('queues' in page ? page.queues : page.pools).map(({ name }) => name)

async function walk(path: string): Promise<string[]> {
  const found: string[] = []
  let cursor: string | undefined = ''
  while (cursor !== undefined) {
    const page: Page = await served.get(`${path}${cursor && `&cursor=${encodeURIComponent(cursor)}`}`)
    found.push(...rowsOf(page))
    cursor = page.cursor
  }
  return found
}

test.each([
  ['queues', QUEUES],
  ['pools', POOLS],
])('the pages of %s have each of them once', async (path, names) => {
  expect(await walk(`${path}?limit=200`)).toEqual(names)
  expect(await walk(`${path}?limit=70`)).toEqual(names)
  expect(await served.get(path)).toMatchObject({ total: names.length, cursor: `${NAMESPACE}/${names[199]}` })
})

test('a page goes on behind the last one, also where that queue has gone and others have come', async () => {
  const other = await serve({ redisUrl: redisUrl(), queues: QUEUES.slice(0, 10).map(queueNamed) })
  try {
    const first = await other.get<Queues>('queues?limit=5')
    expect(first.cursor).toBe(`${NAMESPACE}/queue-004`)
    other.objects.change('TaskQueue', {
      key: `${NAMESPACE}/queue-004`,
      before: queueNamed('queue-004'),
    } as never)
    const [early, late] = [queueNamed('queue-000-a'), queueNamed('queue-005-a')]
    for (const now of [early, late])
      other.objects.change('TaskQueue', { key: `${NAMESPACE}/${now.metadata.name}`, now } as never)
    const second = await other.get<Queues>(`queues?limit=3&cursor=${first.cursor}`)
    expect(second.queues.map(({ name }) => name)).toEqual(['queue-005', 'queue-005-a', 'queue-006'])
  } finally {
    other.stop()
  }
})

test('those with a part in their names are found behind the first page too', async () => {
  expect(await walk('queues?limit=10&part=-49')).toEqual(QUEUES.slice(490))
  expect(await served.get('queues?part=nowhere')).toEqual({ queues: [], total: 0 })
})

test('a snapshot has the first of them, how many there are, and what is wrong with any', async () => {
  const { queues, pools, totalQueues, totalPools, problems } = await served.get<Snapshot>('snapshot')
  expect([queues.length, pools.length, totalQueues, totalPools]).toEqual([200, 200, 500, 300])
  expect(problems.map(({ name, code }) => [name, code])).toContainEqual([TROUBLED, 'RedisUnreachable'])
})

test('the numbers of all queues are added up, those of queues behind the first ones look by look', async () => {
  const redis = await RedisServer.start()
  const connection = connectRedis(redis.url)
  const other = await serve({ redisUrl: redis.url, queues: QUEUES.map(queueNamed) })
  const enqueue = (name: string) =>
    openQueue(connection, `${NAMESPACE}.${name}`).enqueue([newJob('send', 1, { id: 'waits' })])
  try {
    for (const name of ['queue-010', 'queue-250', 'queue-499']) await enqueue(name)
    const covered: number[] = []
    const whole = await eventually(
      async () => {
        const seen = await other.get<Snapshot>('snapshot')
        covered.push(seen.sums.queues)
        return seen.sums.queues === QUEUES.length ? seen : undefined
      },
      { what: 'all queues are read' },
    )
    expect(covered.slice(0, 3)).toEqual([300, 400, 500])
    expect(whole.sums).toMatchObject({ ready: 3, busy: 0, buried: 0, workers: 0 })
    expect(whole.behind.map(({ name }) => name).sort()).toEqual(['queue-250', 'queue-499'])
    expect(problemsOf(whole, SnapshotSchema)).toEqual([])
    const monitor = await Monitor.start(redis.url)
    await other.get<Snapshot>('snapshot')
    const { sent } = await monitor.take()
    monitor.stop()
    expect(sent.filter((verb) => verb === 'depth').length).toBeLessThanOrEqual(300)
  } finally {
    other.stop()
    connection.close()
    await redis.remove()
  }
}, 60_000)

test('the last hour of all queues is read 200 queues at a time, the next ones ten seconds later', async () => {
  let nowMs = 1
  const other = await serve({
    redisUrl: redisUrl(),
    queues: QUEUES.map(queueNamed),
    nowMs: () => nowMs,
  })
  try {
    const covered: number[] = []
    for (const atMs of [1, 9_000, 10_001, 20_001, 30_001]) {
      nowMs = atMs
      covered.push((await other.get<RecentHistory>('history')).queues)
    }
    expect(covered).toEqual([200, 200, 400, 500, 500])
  } finally {
    other.stop()
  }
})

test('a cursor and a part are bounded, and a cursor of nothing is of no more than a place', async () => {
  for (const name of ['cursor', 'part'])
    expect((await served.call('GET', `queues?${name}=${'x'.repeat(400)}`)).status).toBe(400)
  expect((await served.get<Queues>('queues?cursor=zzz')).queues).toEqual([])
})
