// The part of the operator that speaks to Redis, as main.ts wires it, in a process of its own: Secrets, servers, both work queues. Its tenants
// come from the environment; the API server is left out. A pool's reconcile is its look at Redis and what a plan makes of it. Says in a line of
// JSON at the end what it saw, and each uncaught error as it comes.
import { readdirSync } from 'node:fs'
import { connectRedis, openQueue, silent } from 'millhand/queue'
import { planTaskQueue } from '../../../control/src/decide/queue.ts'
import { decideReplicas, noHistory } from '../../../control/src/decide/replicas.ts'
import { POOLS_AT_ONCE, QUEUES_AT_ONCE, startController } from '../../../control/src/engine/controller.ts'
import { openFence } from '../../../control/src/engine/fence.ts'
import { observeTaskQueue } from '../../../control/src/reconcile/task-queue.ts'
import { inSecret, problemOf, type QueuePlace } from '../../../control/src/redis/problems.ts'
import { Secrets } from '../../../control/src/redis/secrets.ts'
import { Servers } from '../../../control/src/redis/servers.ts'
import { loadOfQueue } from '../../../control/src/redis/view.ts'
import { declared } from '../../control/reconcile/declared.ts'
import { workerPool } from '../../control/resources/crds.ts'

export interface Tenants {
  /** Namespace → url. */
  urls: Record<string, string>
  queuesEach: number
  wellUrl: string
  forMs: number
}

export interface Report {
  /** ms from a tick to the end of the reconcile, of the tenant whose Redis is well. */
  wellMs: number[]
  /** Namespace → the reasons that its queues had. */
  reasons: Record<string, string[]>
  /** What a number of pods was that is none. */
  oddReplicas: string[]
  uncaught: string[]
  rssMb: number
  descriptors: number
}

const { urls, queuesEach, wellUrl, forMs }: Tenants = JSON.parse(process.env.TENANTS ?? '{}')
const WELL = 'well'
const report: Report = { wellMs: [], reasons: {}, oddReplicas: [], uncaught: [], rssMb: 0, descriptors: 0 }
for (const name of ['uncaughtException', 'unhandledRejection'] as const)
  process.on(name, (error: Error) => void report.uncaught.push(String(error?.stack ?? error)))

const nowMs = () => performance.now()
const secretName = 'millhand-redis'
const servers = new Servers({
  name: 'millhand-operator',
  reach: new Secrets({
    readSecret: async (namespace) => ({ url: namespace === WELL ? wellUrl : (urls[namespace] ?? '') }),
    secretNames: [secretName],
    denials: { servers: [], networks: ['127.0.0.1/32'] },
    nowMs,
  }),
  onStirred: ({ namespace, queueName }: QueuePlace) =>
    pools.enqueue(`${namespace}/${queueName.split('.')[1]}`),
  fence: openFence,
  log: silent,
  nowMs,
  wallMs: () => Date.now(),
})

function note(namespace: string, reason: string): void {
  const known = report.reasons[namespace] ?? []
  report.reasons[namespace] = known
  if (!known.includes(reason)) known.push(reason)
}

const ticks = new Map<string, number>()
const pool = workerPool({ slots: 1, scaling: { maxReplicas: 20 } })

async function reconcilePool(key: string): Promise<{ againInMs: number }> {
  const [namespace = '', name = ''] = key.split('/')
  const place = { namespace, secretName }
  const opened = await servers.open(`${namespace}.${name}`, place)
  try {
    if (opened.kind === 'problem') note(namespace, opened.reason)
    else {
      const view = await opened.seen.look()
      const load = { busy: view.depth.busy, queues: [loadOfQueue(view, 1)] }
      const { replicas } = decideReplicas({ pool, current: 3, load, history: noHistory, nowMs: nowMs() })
      if (!Number.isInteger(replicas) || replicas < 0 || replicas > 20)
        report.oddReplicas.push(`${key} ${replicas}`)
      note(namespace, 'none')
    }
  } catch (error) {
    note(namespace, problemOf(error, inSecret(place))?.reason ?? `thrown: ${(error as Error).stack}`)
  }
  const tickedAt = ticks.get(key)
  if (namespace === WELL && tickedAt !== undefined) {
    ticks.delete(key)
    report.wellMs.push(Math.round(nowMs() - tickedAt))
  }
  return { againInMs: 1_000 }
}

async function reconcileQueue(key: string): Promise<{ againInMs: number }> {
  const [namespace = '', name = ''] = key.split('/')
  const object = declared({ name, uid: '5d3b4a52-5b0e-4b7f-9d42-3c2b6d2c2f10' })
  const observed = await observeTaskQueue(
    { ...object, metadata: { ...object.metadata, namespace } },
    { servers, ownerName: () => 'a tenant' },
    () => false,
  )
  const { status } = planTaskQueue(observed, Date.now())
  const ready = status?.conditions.find(({ type }) => type === 'Ready')
  note(namespace, ready?.reason === 'Ready' ? 'none' : (ready?.reason ?? 'no status'))
  return { againInMs: 2_000 }
}

const noted = (reconcile: (key: string) => Promise<{ againInMs: number }>) => async (key: string) => {
  try {
    return await reconcile(key)
  } catch (error) {
    note(key.split('/')[0] ?? '', `thrown: ${(error as Error).stack}`)
    throw error
  }
}
const pools = startController({
  name: 'pools',
  reconcile: noted(reconcilePool),
  ...POOLS_AT_ONCE,
  log: silent,
})
const queues = startController({
  name: 'queues',
  reconcile: noted(reconcileQueue),
  ...QUEUES_AT_ONCE,
  log: silent,
})

const names = Array.from({ length: queuesEach }, (_, i) => `q${i}`)
for (const namespace of Object.keys(urls))
  for (const name of names) {
    queues.enqueue(`${namespace}/${name}`)
    pools.enqueue(`${namespace}/${name}`)
  }
queues.enqueue(`${WELL}/jobs`)
/** What a job costs that wakes the well tenant's pool. */
const ticking = setInterval(() => {
  ticks.set(`${WELL}/jobs`, ticks.get(`${WELL}/jobs`) ?? nowMs())
  pools.enqueue(`${WELL}/jobs`)
}, 150)
const measuring = setInterval(() => {
  report.rssMb = Math.max(report.rssMb, Math.round(process.memoryUsage().rss / 2 ** 20))
  report.descriptors = Math.max(report.descriptors, readdirSync('/proc/self/fd').length)
}, 100)

setTimeout(async () => {
  clearInterval(ticking)
  clearInterval(measuring)
  const redis = connectRedis(wellUrl)
  await openQueue(redis, 'well.jobs').depth()
  redis.close()
  process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit(0))
}, forMs)
