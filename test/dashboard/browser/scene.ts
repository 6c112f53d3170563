// What the pages show in tests: real queues in the Redis of the run, with jobs that a real worker ran, failed, runs and leaves behind.
import { randomBytes } from 'node:crypto'
import { type Client, connect, flow } from 'millhand/client'
import { connectRedis, newJob, openQueue, prefixOf, type Queue, queueName } from 'millhand/queue'
import { ownAssets } from '../../../dashboard/src/server/assets.ts'
import { TINY_TASKS } from '../../cli/millhand.ts'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'
import { NAMESPACE, type Served, serve, workerPool } from '../served.ts'

export interface Scene {
  served: Served
  /** `namespace/name` of its busiest queue; absent where there is none. */
  queue?: string
  /** The ids of flows in that queue. */
  flows: string[]
  /** Jobs by what they are there for. */
  jobs: Record<string, string>
  stop(): Promise<void>
}

const ONCE = { maxAttempts: 1 }

/** A server that knows no queue. */
export async function emptyScene(): Promise<Scene> {
  const served = await serve({ redisUrl: redisUrl(), queues: [], assets: await ownAssets() })
  return { served, flows: [], jobs: {}, stop: async () => served.stop() }
}

/** One queue in each mood, and a job in each state. */
export async function fullScene(): Promise<Scene> {
  const names = ownNames('mail', 'paused', 'idle')
  const [mail, paused] = names
  const { client, worker, queue } = await working(mail)
  const jobs = client.queue(mail)
  const enqueue = async (task: string, input: unknown, options: object = {}) =>
    (await jobs.enqueue(task, input as never, options)).id
  const order8812 = await enqueue('throws', { message: 'connect ETIMEDOUT 10.0.3.7:587', order: 8812 }, ONCE)
  for (let n = 0; n < 5; n += 1) await enqueue('throws', { message: `no such user ${n}`, order: n }, ONCE)
  const completed = await enqueue('succeeds', { order: 1, big: 1 })
  await eventually(async () => (await queue.depth()).buried === 6, { what: 'six jobs are buried' })
  const retrying = await enqueue('throws', { message: 'try again later' }, { backoffMs: 600_000 })
  await eventually(async () => (await queue.depth()).delayed === 1, { what: 'a job waits for its next try' })
  await queue.setLimits('acme', { maxBusy: 1 })
  const held = await enqueue('sleeps-forever', null, { key: 'acme' })
  await enqueue('sleeps-forever', null)
  await eventually(async () => (await queue.depth()).busy === 2, { what: 'two jobs run' })
  const ready = await enqueue('succeeds', { order: 9 })
  const blocked = await enqueue('succeeds', { order: 9 }, { key: 'acme', tags: ['order:9', 'vip'] })
  const delayed = await enqueue('succeeds', { order: 10 }, { delayMs: 3_600_000 })
  const cancelled = await enqueue('succeeds', { order: 11 })
  await queue.cancel(cancelled)
  const { schedules } = queue
  await schedules.set('nightly', { cron: '0 3 * * *', timeZone: 'Europe/Berlin', task: 'succeeds' })
  await schedules.run('nightly')
  await schedules.set('hourly', { everyMs: 3_600_000, task: 'succeeds', overlap: 'Forbid' })
  await schedules.set('resting', { cron: '@daily', task: 'succeeds', suspend: true })
  const flows = await flowsOf(client, mail, paused)
  await client.queue(paused).enqueue('succeeds', { order: 12 })
  await openOf(paused, (other) => other.pause())
  client.close()
  const served = await serve({
    redisUrl: redisUrl(),
    queues: names,
    pools: [workerPool('mail', { queues: [{ name: mail }] })],
    assets: await ownAssets(),
  })
  return sceneOf(
    { served, name: mail, worker, flows },
    {
      order8812,
      buried: order8812,
      completed,
      retrying,
      held,
      ready,
      blocked,
      delayed,
      cancelled,
    },
  )
}

/** One that runs and waits, one that was cancelled, and a batch. */
async function flowsOf(client: Client, home: string, other: string): Promise<string[]> {
  const order = flow('order-42', { home })
  const pay = order.add(other, 'succeeds', { order: 42 }, { name: 'pay' })
  const parts = order.map(home, 'succeeds', [...Array(20).keys()], { name: 'part', after: [pay] })
  const pack = order.add(home, 'succeeds', parts.results, { name: 'pack' })
  order.add(other, 'succeeds', null, { name: 'ship', after: [pay, pack] })
  await client.start(order)
  const refused = flow('order-43', { home })
  refused.add(other, 'succeeds', null, { name: 'pay' })
  await (await client.start(refused)).cancel()
  await client.queue(home).batch('newsletter')
  return ['order-42', 'order-43', 'newsletter']
}

/** A job whose task asks for a rest of an hour; by a worker of its own, as that of a scene has no free slot. */
export async function asksForRest(
  queue: Queue,
  { id, key, pause }: { id: string; key?: string; pause: 'job' | 'key' },
): Promise<void> {
  const worker = 'rester:1'
  await queue.enqueue([
    newJob('asks-for-rest', null, { id, priority: 'urgent', ...(key !== undefined && { key }) }),
  ])
  await queue.register({
    ...{ worker, process: 'rester', pod: 'rester', podUid: 'rester', poolUid: '', node: '', slots: 100 },
    ...{ isolation: 'Fork', version: '0', timeoutMs: 60_000 },
  } as never)
  // Others go back, the last first, to where they were.
  const { claims } = await queue.settleAndClaim({ worker, wanted: 100 })
  const rests = {
    verdict: 'rests' as const,
    text: `3600000 ${pause}\n${JSON.stringify({ outcome: 'rests' })}`,
  }
  const back = { verdict: 'handed-back' as const, text: '' }
  const settlements = claims
    .toReversed()
    .map((claim) => ({ id: claim.id, token: claim.token, ...(claim.id === id ? rests : back) }))
  await queue.settleAndClaim({ worker, settlements })
  await queue.deregister(worker)
}

const HOSTILE = [
  '<img src=x onerror=alert(1)> javascript:alert(1) ../../etc/passwd %2f..%2f',
  '\u202egnp.exe\u202c \u0627\u0644\u0639\u0631\u0628\u064a\u0629 nul \u0000 bell \u0007 escape \u001b[31m',
  'x'.repeat(1_000_000),
]

/** Whatever users and other programs may write: nothing of it is more than text. */
export async function hostileScene(): Promise<Scene> {
  const [mail] = ownNames('mail-with-a-name-that-is-as-long-as-a-dns-label-may-be')
  const { client, worker, queue } = await working(mail)
  const jobs = client.queue(mail)
  const failed: string[] = []
  for (const message of HOSTILE)
    failed.push((await jobs.enqueue('throws', { message: message.slice(0, 100_000) } as never, ONCE)).id)
  const dots = (await jobs.enqueue('throws', { message: 'dots' } as never, { ...ONCE, id: '..' })).id
  const scheme = (
    await jobs.enqueue('throws', { message: 'scheme' } as never, { ...ONCE, id: 'javascript:x' })
  ).id
  const fields = Object.fromEntries(
    HOSTILE.map((text, n) => [text.slice(0, 5_000), { n, text: text.slice(0, 20_000) }]),
  )
  const completed = (await jobs.enqueue('succeeds', { fields, deep: deep(200) } as never)).id
  const loud = (
    await jobs.enqueue('repeats', { lines: HOSTILE.map((text) => text.slice(0, 5_000)) } as never)
  ).id
  await eventually(async () => (await queue.depth()).counts.completed === 1, { what: 'a job completed' })
  await eventually(async () => (await queue.depth()).buried === failed.length + 2, { what: 'all are buried' })
  await queue.register({
    worker: 'hostile:1',
    process: 'hostile',
    pod: '<img src=x onerror=alert(2)>',
    podUid: 'u',
    poolUid: '',
    node: '\u202eedon',
    slots: 4,
    isolation: 'Fork',
    version: '<b>0</b>',
    timeoutMs: 600_000,
  } as never)
  const owner = { ownerUid: '<b>u</b>', owner: HOSTILE[0] ?? '' }
  await queue.schedules.set('nightly', { cron: '0 3 * * *', task: `a${'x'.repeat(99)}` }, owner)
  const flows = [await hostileFlow(queue)]
  client.close()
  const served = await serve({ redisUrl: redisUrl(), queues: [mail], assets: await ownAssets() })
  const named = Object.fromEntries(failed.map((id, n) => [`failed${n}`, id]))
  return sceneOf(
    { served, name: mail, worker, flows },
    { ...named, buried: failed[0] ?? '', completed, dots, scheme, loud },
  )
}

/** As no flow is started, and as other programs may write one. */
async function hostileFlow({ redis, name }: Queue): Promise<string> {
  const id = 'f'.repeat(60)
  const [markup = '', arabic = ''] = HOSTILE.map((text) => text.slice(0, 200).replaceAll(' ', '_'))
  const names = ['a'.repeat(200), arabic, markup, ...Array.from({ length: 40 }, (_, n) => `n${n}`)]
  const set = (...fields: (string | number)[]) => redis.call('HSET', `${prefixOf(name)}flow:${id}`, ...fields)
  const facts = {
    run: 1,
    startedMs: 1,
    jobs: names.length,
    running: 1,
    failed: 1,
    because: `${arabic} ${markup}`,
  }
  await set(...Object.entries({ ...facts, state: 'running' }).flat())
  const textOf = (n: number) => `${n === 0 ? 'enqueued' : arabic} ${markup} 1 1 ${names[n + 1] ?? 'none'}`
  await set(...names.flatMap((each, n) => [`job:${each}`, textOf(n)]))
  await redis.call('ZADD', `${prefixOf(name)}flows`, 'inf', id)
  return id
}

const deep = (levels: number): unknown => (levels === 0 ? 'bottom' : [deep(levels - 1)])

/** Queues that no other test uses. */
const ownNames = <const T extends string[]>(...names: T): { [K in keyof T]: string } =>
  names.map((name) => `${name}-${randomBytes(3).toString('hex')}`) as { [K in keyof T]: string }

async function working(name: string) {
  const worker = await startWorker({
    redisUrl: redisUrl(),
    queues: [name],
    namespace: NAMESPACE,
    modules: [TINY_TASKS],
  })
  const client = connect({ redis: redisUrl(), namespace: NAMESPACE })
  const redis = connectRedis(redisUrl())
  opened.add(redis)
  return { worker, client, queue: openQueue(redis, queueName(NAMESPACE, name)) }
}

const opened = new Set<{ close(): void }>()

async function openOf<T>(name: string, use: (queue: ReturnType<typeof openQueue>) => Promise<T>): Promise<T> {
  const redis = connectRedis(redisUrl())
  try {
    return await use(openQueue(redis, queueName(NAMESPACE, name)))
  } finally {
    redis.close()
  }
}

function sceneOf(
  { served, name, worker, flows }: { served: Served; name: string; worker: WorkerProcess; flows: string[] },
  jobs: Record<string, string>,
): Scene {
  return {
    served,
    flows,
    queue: `${NAMESPACE}/${name}`,
    jobs,
    async stop() {
      served.stop()
      for (const redis of opened) redis.close()
      opened.clear()
      worker.kill('SIGKILL')
      await worker.ended
    },
  }
}
