// A cluster for the operator's fleet, without Kubernetes. What a Deployment controller, a ReplicaSet and a
// kubelet do is played as it was recorded in real clusters: each situation names the suite that has one.
// Workers are real registrations in Redis, which claim and hold jobs.
import { randomUUID } from 'node:crypto'
import { type Connection, openQueue, type Queue, RENEW_MS } from 'millhand/queue'
import type { ContainerStatus, Deployment, Pod } from '../../../operator/src/fleet/cluster.ts'
import { DELETION_COST, POOL_LABEL, TEMPLATE_ANNOTATION } from '../../../operator/src/fleet/deployment.ts'
import type { Watched, WriteContext } from '../../../operator/src/fleet/kube-fleet.ts'
import { LOWEST_COST } from '../../../operator/src/fleet/pods.ts'

/** How the containers of pods fare. */
export type Play = 'works' | 'crashes' | 'misconfigured'

interface Served {
  uid: string
  slots: number
  /** In Redis. */
  queues: string[]
}

interface PlayedWorker {
  process: string
  queues: string[]
  slots: number
  sequence: number
  renewedAtMs: number
  held: { queue: string; id: string; token: string }[]
}

interface PlayedPod {
  pool: string
  pod: Pod
  worker?: PlayedWorker
}

type Written = Deployment & { metadata: { namespace: string } }

export class RecordedCluster implements Watched {
  play: Play = 'works'
  /** Whether jobs end as soon as they run. */
  isReleased = false
  readonly #redis: Connection
  readonly #look: (key: string) => void
  readonly #servedBy: (key: string) => Served | undefined
  readonly #deployments = new Map<string, Written>()
  readonly #pods = new Map<string, PlayedPod>()
  #deleted: PlayedPod[] = []

  constructor(redis: Connection, look: (key: string) => void, servedBy: (key: string) => Served | undefined) {
    this.#redis = redis
    this.#look = look
    this.#servedBy = servedBy
  }

  readonly kube: WriteContext['kube'] = {
    findOne: async () => undefined,
    apply: async (_kind, object) => this.#write(object as unknown as Written) as never,
    mergePatch: async (kind, namespace, name, patch) =>
      (kind.plural === 'pods'
        ? this.#patchPod(name, patch)
        : this.#patch(`${namespace}/${name}`, patch)) as never,
  }

  deployment(key: string): Deployment | undefined {
    return this.#deployments.get(key)
  }

  pods(namespace: string, pool: string): Pod[] {
    return this.#of(`${namespace}/${pool}`).map(({ pod }) => pod)
  }

  deletedPods(namespace: string, pool: string): Pod[] {
    return this.#deleted.flatMap((each) => (each.pool === `${namespace}/${pool}` ? [each.pod] : []))
  }

  /** The garbage collector takes a Deployment along with its WorkerPool. */
  collect(key: string): void {
    this.#deployments.delete(key)
  }

  /** A container ends: the kubelet starts it again. */
  kill(reason: 'Error' | 'OOMKilled'): void {
    const [name, played] = [...this.#pods].find(([, { worker }]) => worker) ?? []
    if (!name || !played?.worker) throw new Error('no container runs')
    const { process: message } = played.worker
    const [startedAt, finishedAt] = [at(-10_000), at(0)]
    const lastState = { terminated: { exitCode: 137, reason, message, startedAt, finishedAt } }
    const { worker: _, ...rest } = played
    this.#pods.set(name, {
      ...rest,
      pod: withContainer(rest.pod, { restartCount: 1, lastState, ready: false }),
    })
    this.#look(played.pool)
  }

  /** What its controllers, kubelets and workers do next. */
  async step(): Promise<void> {
    for (const key of new Set([...this.#deployments.keys(), ...this.#pools()])) this.#replicate(key)
    for (const [name, played] of this.#pods) await this.#turn(name, played)
  }

  #pools(): string[] {
    return [...this.#pods.values()].map(({ pool }) => pool)
  }

  #of(pool: string): PlayedPod[] {
    return [...this.#pods.values()].filter((played) => played.pool === pool)
  }

  #write(object: Written): Written {
    const key = `${object.metadata.namespace}/${object.metadata.name}`
    const before = this.#deployments.get(key)
    const generation = (before?.metadata.generation ?? 0) + 1
    const metadata = { ...object.metadata, generation, resourceVersion: `${generation}` }
    const now = { ...object, metadata, ...(before?.status && { status: before.status }) }
    this.#deployments.set(key, now)
    this.#look(key)
    return now
  }

  #patch(key: string, patch: object): Written {
    const before = this.#deployments.get(key)
    if (!before) throw new Error(`no Deployment ${key}`)
    const { metadata, spec } = patch as Partial<Written>
    return this.#write({
      ...before,
      metadata: {
        ...before.metadata,
        annotations: { ...before.metadata.annotations, ...metadata?.annotations },
      },
      spec: { ...before.spec, ...spec },
    })
  }

  #patchPod(name: string, patch: object): Pod {
    const played = this.#pods.get(name)
    if (!played) throw new Error(`no pod ${name}`)
    const { annotations } = (patch as Pod).metadata
    const kept = Object.entries({ ...played.pod.metadata.annotations, ...annotations }).filter(
      ([, value]) => value,
    )
    const metadata = { ...played.pod.metadata, annotations: Object.fromEntries(kept) }
    this.#pods.set(name, { ...played, pod: { ...played.pod, metadata } })
    this.#look(played.pool)
    return played.pod
  }

  #replicate(key: string): void {
    const deployment = this.#deployments.get(key)
    const hash = deployment?.metadata.annotations?.[TEMPLATE_ANNOTATION]
    const live = this.#of(key).filter(({ pod }) => !pod.metadata.deletionTimestamp)
    const current = live.filter(({ pod }) => pod.metadata.annotations?.[TEMPLATE_ANNOTATION] === hash)
    const surplus = current.length - (deployment?.spec.replicas ?? 0)
    const first = current
      .toSorted((a, b) => Number(isMarked(b)) - Number(isMarked(a)))
      .slice(0, Math.max(0, surplus))
    const going = [...live.filter((each) => !current.includes(each)), ...first]
    for (const { pod } of going)
      this.#change(pod.metadata.name, { metadata: { ...pod.metadata, deletionTimestamp: at(0) } })
    for (let missing = -surplus; missing > 0 && hash; missing--) this.#create(key, hash)
    if (!deployment) return
    const replicas = deployment.spec.replicas ?? 0
    const status = {
      observedGeneration: deployment.metadata.generation ?? 0,
      replicas,
      updatedReplicas: replicas,
    }
    if (JSON.stringify(status) === JSON.stringify(deployment.status)) return
    this.#deployments.set(key, { ...deployment, status })
    this.#look(key)
  }

  #create(pool: string, hash: string): void {
    const [namespace = '', deployment = ''] = pool.split('/')
    const name = `${deployment}-${hash}-${randomUUID().slice(0, 5)}`
    const owner = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      name: `${deployment}-${hash}`,
      uid: 'r',
      controller: true,
    }
    const metadata = {
      name,
      namespace,
      uid: randomUUID(),
      labels: { [POOL_LABEL]: deployment, 'pod-template-hash': hash },
      annotations: { [TEMPLATE_ANNOTATION]: hash },
      creationTimestamp: at(0),
      ownerReferences: [owner],
    }
    this.#pods.set(name, { pool, pod: withContainer({ metadata }, { ready: false, state: {} }) })
    this.#look(pool)
  }

  #change(name: string, change: Partial<Pod>): void {
    const played = this.#pods.get(name)
    if (!played) return
    this.#pods.set(name, { ...played, pod: { ...played.pod, ...change } })
    this.#look(played.pool)
  }

  async #turn(name: string, played: PlayedPod): Promise<void> {
    const { pod, worker } = played
    if (pod.metadata.deletionTimestamp) return this.#end(name, played)
    if (worker) return this.#work(worker, true)
    const failing = FAILING[this.play]
    if (!failing) return this.#start(name, played)
    if (pod.status?.containerStatuses?.[0]?.state?.waiting) return
    this.#change(name, withContainer(pod, failing))
  }

  async #start(name: string, { pod, pool }: PlayedPod): Promise<void> {
    const { uid = '', queues = [], slots = 1 } = this.#servedBy(pool) ?? {}
    const process = randomUUID().slice(0, 8)
    const facts = {
      process,
      pod: name,
      podUid: pod.metadata.uid ?? '',
      poolUid: uid,
      node: 'n',
      slots,
      version: '',
    }
    for (const queue of queues)
      await this.#open(queue).register({
        ...facts,
        worker: `${process}:1`,
        isolation: 'Spawn',
        isolationNote: '',
      })
    const running = { ready: true, started: true, state: { running: { startedAt: at(0) } } }
    const known = this.#pods.get(name)
    if (!known) return
    const { restartCount = 0, lastState } = known.pod.status?.containerStatuses?.[0] ?? {}
    const status = { ...running, restartCount, ...(lastState && { lastState }) }
    this.#pods.set(name, {
      ...known,
      pod: withContainer(known.pod, status),
      worker: { process, queues, slots, sequence: 0, renewedAtMs: performance.now(), held: [] },
    })
    this.#look(pool)
  }

  /** It claims only what there is, so that it is never called idle and given jobs. */
  async #work(worker: PlayedWorker, mayClaim: boolean): Promise<void> {
    const { queues, slots } = worker
    const isDue = performance.now() - worker.renewedAtMs > RENEW_MS
    if (isDue) worker.renewedAtMs = performance.now()
    for (const name of queues) {
      const queue = this.#open(name)
      if (isDue) await queue.renew(`${worker.process}:1`)
      const { ready } = await queue.depth()
      const ended = this.isReleased ? worker.held.filter((each) => each.queue === name) : []
      const most = mayClaim ? Math.min(ready, slots - worker.held.length + ended.length) : 0
      if (ended.length + most === 0) continue
      const settlements = ended.map(({ id, token }) => ({
        id,
        token,
        verdict: 'terminal' as const,
        text: '{}',
      }))
      const { claims } = await queue.settleAndClaim({
        worker: `${worker.process}:1`,
        sequence: worker.sequence,
        settlements,
        wanted: most,
      })
      worker.sequence += 1
      const kept = worker.held.filter((each) => !ended.includes(each))
      worker.held = [...kept, ...claims.map(({ id, token }) => ({ queue: name, id, token }))]
    }
  }

  /** SIGTERM: it finishes what it holds. */
  async #end(name: string, { pool, pod, worker }: PlayedPod): Promise<void> {
    if (worker) await this.#work(worker, false)
    if (worker && worker.held.length > 0) return
    for (const queue of worker?.queues ?? []) await this.#open(queue).deregister(`${worker?.process}:1`)
    this.#pods.delete(name)
    this.#deleted.push({ pool, pod: { ...pod, status: { ...pod.status, phase: 'Succeeded' } } })
    this.#look(pool)
  }

  #open(name: string): Queue {
    return openQueue(this.#redis, name)
  }
}

const LOOPING = {
  waiting: { reason: 'CrashLoopBackOff', message: 'back-off 40s restarting failed container' },
}
const crashed = (exitCode: number) => ({
  ready: false,
  started: false,
  restartCount: 4,
  state: LOOPING,
  lastState: { terminated: { exitCode, reason: 'Error', startedAt: at(-2_000), finishedAt: at(-1_000) } },
})
const FAILING: Partial<Record<Play, Omit<ContainerStatus, 'name'>>> = {
  crashes: crashed(1),
  misconfigured: crashed(78),
}

function at(afterMs: number): string {
  return new Date(Date.now() + afterMs).toISOString()
}

const isMarked = ({ pod }: PlayedPod) => pod.metadata.annotations?.[DELETION_COST] === LOWEST_COST

function withContainer(pod: Pod, status: Omit<ContainerStatus, 'name'>): Pod {
  const conditions = [{ type: 'Ready', status: status.ready ? 'True' : 'False' }]
  return {
    ...pod,
    status: { phase: 'Running', conditions, containerStatuses: [{ name: 'worker', ...status }] },
  }
}
