// What a test sees of resources, Deployments and pods by watching them: as they are, and the most that there ever were.
import { silent } from 'millhand/queue'
import { connectKube, kinds, type ResourceKind } from '../../../operator/src/kube/client.ts'
import { type Change, type KubeObject, Reflector } from '../../../operator/src/reconciling/reflector.ts'
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
  stop(): Promise<void>
}

const POOL = 'millhand.dev/pool'

export async function watchWorld(cluster: SharedCluster): Promise<World> {
  const kube = connectKube({ kubeconfig: cluster.kubeconfig })
  const ending = new AbortController()
  const running: Promise<void>[] = []
  const written = new Map<string, { replicas: number; atMs: number }[]>()
  const most = new Map<string, number>()
  const watch = (kind: ResourceKind, labelSelector?: string, onChange = (_: Change<Seen>) => {}) => {
    const source = kube.listWatch<Seen>(kind, labelSelector ? { labelSelector } : {})
    const reflector = new Reflector<Seen>({ name: kind.plural, source, onChange, log: silent })
    running.push(reflector.run(ending.signal))
    return reflector
  }
  const podsOf = (key: string) => [...pods.list()].filter((pod) => poolOf(pod) === key)
  const livePods = (key: string) => podsOf(key).filter(({ metadata }) => !metadata.deletionTimestamp)
  const deployments = watch(kinds.deployment, POOL, ({ key, now }) => {
    if (!now) return
    const before = written.get(key) ?? []
    const { replicas } = now.spec
    if (before.at(-1)?.replicas !== replicas)
      written.set(key, [...before, { replicas, atMs: performance.now() }])
  })
  const pods = watch(kinds.pod, POOL, ({ now }) => {
    if (!now) return
    const key = poolOf(now)
    most.set(key, Math.max(most.get(key) ?? 0, livePods(key).length))
  })
  const [queues, pools] = [watch(kinds.taskQueue), watch(kinds.workerPool)]
  await Promise.all([queues, pools, deployments, pods].map(({ synced }) => synced))
  return {
    queues,
    pools,
    deployments,
    pods: podsOf,
    livePods,
    replicasOf: (key) => written.get(key) ?? [],
    mostLivePods: (key) => most.get(key) ?? 0,
    stop: async () => {
      ending.abort()
      await Promise.all(running)
      kube.close()
    },
  }
}

function poolOf({ metadata }: Seen): string {
  return `${metadata.namespace}/${metadata.labels?.[POOL]}`
}
