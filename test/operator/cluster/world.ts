// What a test sees of resources, Deployments and pods by watching them: as they are, and the most that there ever were.
import { silent } from 'millhand/queue'
import { connectKube, kinds, type ResourceKind } from '../../../operator/src/kube/client.ts'
import { type Change, type KubeObject, Reflector } from '../../../operator/src/kube/reflector.ts'
import type { SharedCluster } from '../../cluster/shared.ts'
import type { KubeJson } from './scene.ts'

export type Seen = KubeObject & KubeJson

export interface World {
  queues: Reflector<Seen>
  pools: Reflector<Seen>
  deployments: Reflector<Seen>
  pods(key: string): Seen[]
  /** Not those that were told to end. */
  livePods(key: string): Seen[]
  /** By `<namespace>/<pool>`: each number of replicas that was written, and when, in ms of performance.now(). */
  replicasOf(key: string): readonly { replicas: number; atMs: number }[]
  mostLivePods(key: string): number
  /** Of a pool's Deployment and pods, in the order of the API server's writes, which it counts over all kinds. */
  changesOf(key: string): WorldChange[]
  stop(): Promise<void>
}

export interface WorldChange extends Change<Seen> {
  kind: 'deployment' | 'pod'
}

const POOL = 'millhand.dev/pool'

export async function watchWorld(cluster: SharedCluster): Promise<World> {
  const kube = connectKube({ kubeconfig: cluster.kubeconfig })
  const ending = new AbortController()
  const running: Promise<void>[] = []
  const written = new Map<string, { replicas: number; atMs: number }[]>()
  const most = new Map<string, number>()
  const changes = new Map<string, WorldChange[]>()
  const keep = (pool: string, change: WorldChange) =>
    changes.set(pool, [...(changes.get(pool) ?? []), change])
  const watch = (kind: ResourceKind, labelSelector?: string, onChange = (_: Change<Seen>) => {}) => {
    const source = kube.listWatch<Seen>(kind, labelSelector ? { labelSelector } : {})
    const reflector = new Reflector<Seen>({ name: kind.plural, source, onChange, log: silent })
    running.push(reflector.run(ending.signal))
    return reflector
  }
  const podsOf = (key: string) => [...pods.list()].filter((pod) => poolOf(pod) === key)
  const livePods = (key: string) => podsOf(key).filter(({ metadata }) => !metadata.deletionTimestamp)
  const deployments = watch(kinds.deployment, POOL, (change) => {
    const { key, now } = change
    keep(key, { ...change, kind: 'deployment' })
    if (!now) return
    const before = written.get(key) ?? []
    const { replicas } = now.spec
    if (before.at(-1)?.replicas !== replicas)
      written.set(key, [...before, { replicas, atMs: performance.now() }])
  })
  const pods = watch(kinds.pod, POOL, (change) => {
    const { now } = change
    const key = poolOf((now ?? change.before) as Seen)
    keep(key, { ...change, kind: 'pod' })
    if (!now) return
    most.set(key, Math.max(most.get(key) ?? 0, livePods(key).length))
  })
  const [queues, pools] = [watch(kinds.TaskQueue), watch(kinds.WorkerPool)]
  await Promise.all([queues, pools, deployments, pods].map(({ synced }) => synced))
  return {
    queues,
    pools,
    deployments,
    pods: podsOf,
    livePods,
    replicasOf: (key) => written.get(key) ?? [],
    mostLivePods: (key) => most.get(key) ?? 0,
    changesOf: (key) => (changes.get(key) ?? []).toSorted((a, b) => writeOf(a) - writeOf(b)),
    stop: async () => {
      ending.abort()
      await Promise.all(running)
      kube.close()
    },
  }
}

export function conditionOf(object: Seen | undefined, type: string): KubeJson {
  return object?.status?.conditions?.find((condition: KubeJson) => condition.type === type)
}

/** Of a pod, or of a Deployment's template: what it was given as VERSION. */
export function versionOf(object: Seen | undefined): string | undefined {
  const { containers } = object?.spec.template?.spec ?? object?.spec ?? { containers: [{}] }
  return containers[0].env?.find(({ name }: KubeJson) => name === 'VERSION')?.value
}

function writeOf({ now, before }: WorldChange): number {
  return Number((now ?? before)?.metadata.resourceVersion)
}

function poolOf({ metadata }: Seen): string {
  return `${metadata.namespace}/${metadata.labels?.[POOL]}`
}
