// The two worlds as a situation meets them: the operator's fleet over a recorded cluster, and `millhand up`
// with its processes. Both run the controllers of control/, over a Redis of their own.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Client, connect } from 'millhand/client'
import { type Connection, connectRedis, silent } from 'millhand/queue'
import { startControllers } from '../../../control/src/controllers.ts'
import { openFence } from '../../../control/src/engine/fence.ts'
import { Objects } from '../../../control/src/objects.ts'
import { Secrets } from '../../../control/src/redis/secrets.ts'
import { Servers } from '../../../control/src/redis/servers.ts'
import type { ObjectOf } from '../../../control/src/resources/object.ts'
import { checkAgainstSchema } from '../../../control/src/resources/schema.ts'
import { KINDS, type Kind } from '../../../control/src/resources/schemas.ts'
import type { Fleet, World } from '../../../control/src/world.ts'
import { KubeFleet } from '../../../operator/src/fleet/kube-fleet.ts'
import { writeFiles } from '../../cli/local/folder.ts'
import { startUpIn, TASKS, upFolder } from '../../cli/local/up.ts'
import { eventually } from '../../eventually.ts'
import { RedisServer } from '../../redis-server.ts'
import { schemas } from '../resources/crds.ts'
import { type Play, RecordedCluster } from './recorded-cluster.ts'

export interface Manifest {
  kind: Kind
  name: string
  spec: object
}

/** What a status says, as far as it is the same in all worlds. */
export interface Shown {
  /** Type → status and reason. */
  conditions?: Record<string, string>
  decision?: string
  wanted?: number
  pods?: number
  ready?: number
  draining?: number
}

export interface Scene {
  readonly redis: RedisServer
  connection(): Connection
  declare(...manifests: Manifest[]): Promise<void>
  /** Jobs that run until they are released. */
  enqueue(queue: string, count: number): Promise<void>
  release(): void
  /** A worker process ends by SIGKILL. */
  kill(reason: 'Error' | 'OOMKilled'): void
  shown(kind: Kind, name: string): Shown
}

export const queue = (name = 'work', spec: object = {}): Manifest => ({ kind: 'TaskQueue', name, spec })

/** Its jobs run until the test ends. */
export const schedule = (spec: object = {}): Manifest => {
  const when = 'cron' in spec ? {} : { everySeconds: 1 }
  const input = { file: 'nowhere' }
  return {
    kind: 'Schedule',
    name: 'work',
    spec: { queue: 'work', ...when, task: 'untilFile', input, overlap: 'Forbid', ...spec },
  }
}

export function pool(spec: object = {}, name = 'work'): Manifest {
  const template = { spec: { containers: [{ name: 'worker', image: 'tasks' }] } }
  const behavior = { scaleDown: { stabilizationWindowSeconds: 0 } }
  const { scaling, ...more } = spec as { scaling?: object }
  return {
    kind: 'WorkerPool',
    name,
    spec: {
      queues: [{ name: 'work' }],
      isolation: { mode: 'Spawn' },
      template,
      scaling: { maxReplicas: 3, behavior, ...scaling },
      ...more,
    },
  }
}

const ends: (() => unknown)[] = []

/** For afterEach. */
export async function endScenes(): Promise<void> {
  for (const end of ends.splice(0).reverse()) await end()
}

async function redisOfItsOwn(): Promise<{
  redis: RedisServer
  client: Client
  connection: () => Connection
}> {
  const redis = await RedisServer.start()
  ends.push(() => redis.remove())
  const client = connect({ redis: redis.url, namespace: 'default' })
  ends.push(() => client.close())
  let connection: Connection | undefined
  ends.push(() => connection?.close())
  return {
    redis,
    client,
    connection: () => {
      connection ??= connectRedis(redis.url)
      return connection
    },
  }
}

function shownBy(objects: Objects, kind: Kind, name: string): Shown {
  const { status } = objects.get(kind, `default/${name}`) ?? {}
  if (!status) return {}
  const conditions = status.conditions.map(({ type, status: is, reason }) => [type, `${is} ${reason}`])
  const shown = { conditions: Object.fromEntries(conditions) }
  if (!('desiredReplicas' in status)) return shown
  return {
    ...shown,
    decision: status.decision.reason,
    wanted: status.desiredReplicas,
    pods: status.replicas,
    ready: status.readyReplicas,
    draining: status.drainingReplicas,
  }
}

export async function operatorScene(play: Play): Promise<Scene> {
  const { redis, client, connection } = await redisOfItsOwn()
  const objects: Objects = new Objects({ look: (kind, key) => controllers.look(kind, key) })
  const servers = serversOf(redis, objects, (key) => controllers.look('WorkerPool', key))
  ends.push(() => servers.close())
  const cluster = new RecordedCluster(
    connection(),
    (key) => controllers.look('WorkerPool', key),
    (key) => servedBy(objects, key),
  )
  cluster.play = play
  const controllers = startControllers({
    world: worldOf(objects, cluster),
    servers,
    ownerName: () => 'the operator',
    log: silent,
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
    onPlanned: () => {},
    onDecision: () => {},
    onGone: (namespace, name) => cluster.collect(`${namespace}/${name}`),
  })
  ends.push(() => controllers.stop())
  ends.push(playing(cluster))
  return {
    redis,
    connection,
    declare: async (...manifests) => declareIn(objects, manifests),
    async enqueue(name, count) {
      await client
        .queue(name)
        .enqueueMany(Array.from({ length: count }, () => ({ task: 'untilFile', input: {} })))
    },
    release: () => {
      cluster.isReleased = true
    },
    kill: (reason) => cluster.kill(reason),
    shown: (kind, name) => shownBy(objects, kind, name),
  }
}

function serversOf(redis: RedisServer, objects: Objects, look: (key: string) => void): Servers {
  const nowMs = () => performance.now()
  const secrets = new Secrets({
    readSecret: async () => ({ url: redis.url }),
    secretNames: ['millhand-redis', 'other'],
    denials: { servers: [], networks: ['127.0.0.0/8'] },
    nowMs,
  })
  return new Servers({
    reach: secrets,
    name: 'millhand-operator',
    onStirred: ({ namespace, queueName }) => {
      for (const key of objects.keysOf('WorkerPool', 'queue', `${namespace}/${queueName.split('.')[1]}`))
        look(key)
    },
    fence: openFence,
    log: silent,
    nowMs,
    wallMs: () => Date.now(),
  })
}

function worldOf(objects: Objects, cluster: RecordedCluster): World {
  const fleets = new Map<string, Fleet>()
  return {
    get: (kind, key) => objects.get(kind, key),
    find: (kind, index, name) => objects.find(kind, index, name),
    isGone: async ({ kind, namespace, name, uid }) =>
      objects.get(kind, `${namespace}/${name}`)?.metadata.uid !== uid,
    fleet({ metadata: { namespace, name } }) {
      const key = `${namespace}/${name}`
      const nowMs = () => performance.now()
      const made = { watched: cluster, kube: cluster.kube, log: silent, leader: 'test', nowMs }
      const fleet = fleets.get(key) ?? new KubeFleet(made)
      fleets.set(key, fleet)
      return fleet
    },
    forgetFleet: (key) => void fleets.delete(key),
    async writeStatus({ kind, namespace, name }, status) {
      const key = `${namespace}/${name}`
      const before = objects.get(kind, key)
      if (before) objects.change(kind, { key, before, now: { ...before, status } as ObjectOf[Kind] })
      return true
    },
    tell: () => {},
  }
}

function servedBy(objects: Objects, key: string) {
  const found = objects.get('WorkerPool', key)
  if (!found) return undefined
  const { metadata, spec } = found
  const queues = spec.queues.map(({ name }) => `${metadata.namespace}.${name}`)
  return { uid: metadata.uid ?? '', slots: spec.slots, queues }
}

/** As the API server does it. */
function declareIn(objects: Objects, manifests: readonly Manifest[]): void {
  const declared = new Set(manifests.map(({ kind, name }) => `${kind} ${name}`))
  for (const kind of KINDS)
    for (const before of [...objects.list(kind)])
      if (!declared.has(`${kind} ${before.metadata.name}`))
        objects.change<Kind>(kind, { key: `default/${before.metadata.name}`, before })
  for (const { kind, name, spec } of manifests) {
    const key = `default/${name}`
    const before = objects.get(kind, key)
    const { value, problems } = checkAgainstSchema(manifestOf({ kind, name, spec }), schemas[kind])
    if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join('\n'))
    const { generation = 0 } = before?.metadata ?? {}
    const metadata = { name, namespace: 'default', uid: `uid-of-${kind}-${name}`, generation: generation + 1 }
    const now = {
      ...(value as ObjectOf[Kind]),
      metadata,
      ...(before?.status && { status: before.status }),
    }
    objects.change<Kind>(kind, { key, now: now as ObjectOf[Kind], ...(before && { before }) })
  }
}

const manifestOf = ({ kind, name, spec }: Manifest) => ({
  apiVersion: 'millhand.dev/v1beta1',
  kind,
  metadata: { name },
  spec,
})

function playing(cluster: RecordedCluster): () => Promise<void> {
  let isEnding = false
  const ended = (async () => {
    while (!isEnding) {
      await cluster.step().catch(() => {}) // Redis is away for a while
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  })()
  return () => {
    isEnding = true
    return ended
  }
}

export async function upScene(play: Play, first: readonly Manifest[]): Promise<Scene> {
  const { redis, client, connection } = await redisOfItsOwn()
  const files = {
    'tasks.ts': play === 'misconfigured' ? 'throw new Error("no such luck")' : TASKS,
    'all.yaml': textOf(first),
    'queue.yaml': '',
    'pool.yaml': '',
  }
  const folder = upFolder(files)
  const up = await startUpIn(folder, { redis: redis.access, reload: true, paths: ['all.yaml'] })
  const go = join(folder, 'go')
  if (play === 'crashes') ends.push(killing(() => up.local.workerPids()))
  return {
    redis,
    connection,
    async declare(...manifests) {
      const changes = up.seen('manifests-changed').length
      writeFiles(folder, { 'all.yaml': textOf(manifests) })
      await eventually(() => up.seen('manifests-changed').length > changes, {
        what: 'the manifests are read',
      })
    },
    async enqueue(name, count) {
      const inputs = Array.from({ length: count }, () => ({ task: 'untilFile', input: { file: go } }))
      await client.queue(name).enqueueMany(inputs)
    },
    release: () => writeFileSync(go, ''),
    kill: () => process.kill(up.local.workerPids()[0] ?? 0, 'SIGKILL'),
    shown: (kind, name) => shownBy(up.local.objects, kind, name),
  }
}

const textOf = (manifests: readonly Manifest[]) =>
  manifests.map((manifest) => JSON.stringify(manifestOf(manifest))).join('\n---\n')

/** Each worker ends as soon as it has begun. */
function killing(pids: () => number[]): () => void {
  const timer = setInterval(() => {
    for (const pid of pids()) process.kill(pid, 'SIGKILL')
  }, 20)
  return () => clearInterval(timer)
}
