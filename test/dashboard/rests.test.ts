// Rests that tasks asked for (RetryAfter): the API names them, and ends one.
import { newJob, openQueue } from 'millhand/queue'
import type { Queue } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { matchOf } from '../../dashboard/src/server/input.ts'
import { routes } from '../../dashboard/src/server/routes.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { NAMESPACE, type Served, serve } from './served.ts'

const NAME = `rests-${process.pid}`
const PATH = `queues/${NAMESPACE}/${NAME}`
const redis = connectRedis(redisUrl())
const queue = openQueue(redis, `${NAMESPACE}.${NAME}`)

let served: Served
beforeAll(async () => {
  served = await serve({ redisUrl: redisUrl(), queues: [NAME] })
})
afterAll(() => {
  served.stop()
  redis.close()
})

/** The answer, held against the schema of its route. */
async function ask<T>(method: string, path: string, body?: unknown): Promise<T> {
  const response = await served.call(method, path, body)
  const answer: unknown = await response.json()
  expect({ status: response.status, ...(response.status !== 200 && { answer }) }).toEqual({ status: 200 })
  const { route } = matchOf(routes, method, `/${path}`)
  expect(route.kind === 'answer' && problemsOf(answer, route.answer)).toEqual([])
  return answer as T
}

async function rest(id: string, pause: 'job' | 'key' | 'queue', key?: string): Promise<void> {
  await queue.enqueue([newJob('send', null, { id, ...(key !== undefined && { key }) })])
  const { claims } = await queue.settleAndClaim({ worker: 'w:1', wanted: 1 })
  await queue.settleAndClaim({
    worker: 'w:1',
    settlements: claims.map(({ id, token }) => ({
      ...{ id, token, verdict: 'rests' as const },
      text: `3600000 ${pause}\n${JSON.stringify({ outcome: 'rests' })}`,
    })),
  })
}

const lastWrite = () => served.log.findLast(({ message }) => message === 'write by the dashboard')

test('the page of a queue has what rests; a key, a job and the queue are ended one by one, each with a line of the log', async () => {
  await queue.register({
    ...{ worker: 'w:1', process: 'w', pod: 'w', podUid: 'w', poolUid: '', node: '', slots: 1 },
    ...{ isolation: 'Fork', version: '0', timeoutMs: 60_000 },
  } as never)
  await rest('alone', 'job')
  await rest('keyed', 'key', 'acme')
  const of = async () => (await ask<Queue>('GET', PATH)).rests
  expect(await of()).toEqual({ total: 1, rests: [{ key: 'acme', untilMs: expect.any(Number) }] })

  expect(await ask('POST', `${PATH}/keys/acme/resume`, { reason: 'they are back' })).toEqual({
    wasResting: true,
  })
  expect(lastWrite()).toMatchObject({
    ...{ resource: 'queues', verb: 'pause', key: 'acme', reason: 'they are back', outcome: 'done' },
    queue: `${NAMESPACE}/${NAME}`,
  })
  expect(await ask('POST', `${PATH}/keys/acme/resume`, {})).toEqual({ wasResting: false })

  expect(await ask('POST', `${PATH}/jobs/alone/resume`, {})).toEqual({ wasResting: true })
  expect(lastWrite()).toMatchObject({ resource: 'jobs', verb: 'retry', ids: ['alone'] })
  expect(await queue.depth()).toMatchObject({ ready: 2, delayed: 0, blocked: 0 })

  await rest('whole', 'queue')
  // Looks are shared for a second.
  await eventually(async () => (await of())?.total === 1)
  expect(await of()).toEqual({ total: 1, rests: [{ untilMs: expect.any(Number) }] })
  await ask('POST', `${PATH}/resume`, {})
  expect(await of()).toEqual({ total: 0, rests: [] })
})

test('a key that is none is refused', async () => {
  const response = await served.call('POST', `${PATH}/keys/${encodeURIComponent('a b')}/resume`, {})
  expect(response.status).toBe(400)
})
