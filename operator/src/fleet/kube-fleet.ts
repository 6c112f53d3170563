// The fleet of a pool in a cluster: a Deployment and its pods. Marks are written before the number is
// lowered. A write that the API server refuses holds up no other write.

import { DEFAULT_REDIS_SECRET, defaultQueueName } from '@millhand/control/resources/task-queue'
import type { Fleet, FleetDone, FleetSpec, FleetView, FleetWish } from '@millhand/control/world'
import type { Log } from 'millhand/queue'
import { type Kube, kinds } from '../kube/client.ts'
import {
  isConflict,
  isDenied,
  isEnding,
  isNotFound,
  isRefused,
  KubeError,
  textFromKube,
  unlessGone,
} from '../kube/errors.ts'
import { type Deployment, isControlledBy, type Pod } from './cluster.ts'
import {
  DELETION_COST,
  deploymentOf,
  hashOf,
  LEADER_ANNOTATION,
  type Rendered,
  TEMPLATE_ANNOTATION,
} from './deployment.ts'
import { type FleetPod, GUARD, LOWEST_COST, readPod } from './pods.ts'
import { type FleetMemory, type FleetSeen, noFleetMemory, viewOf } from './view.ts'
import { type DeploymentWrite, type FleetPlan, type PodPatch, planFleet } from './write.ts'

export interface WriteContext {
  kube: Pick<Kube, 'apply' | 'findOne' | 'mergePatch'>
  log: Log
  /** The name by which this operator leads. */
  leader: string
  /** Monotonic, ms. */
  nowMs: () => number
}

export interface FleetContext extends WriteContext {
  watched: Watched
}

/** The caches of Deployments and pods. */
export interface Watched {
  deployment(key: string): Deployment | undefined
  /** Those with the pool's label. */
  pods(namespace: string, pool: string): Iterable<Pod>
  /** Those that were deleted recently, with how their processes ended. */
  deletedPods(namespace: string, pool: string): Iterable<Pod>
}

const REFUSED_GUARDS_REST_MS = 300_000
/** The watch catches up meanwhile. */
const STALE_AGAIN_MS = 250

export class KubeFleet implements Fleet {
  readonly #context: FleetContext
  #memory = noFleetMemory
  /** The last rendering and its input: a template may be large, and rarely changes between ticks. */
  #rendered: { from: string; rendered: Rendered } | undefined
  #seen: FleetSeen | undefined

  constructor(context: FleetContext) {
    this.#context = context
  }

  see(spec: FleetSpec): FleetView {
    const { watched } = this.#context
    const { namespace, name, uid } = spec.pool.metadata
    const found = watched.deployment(`${namespace}/${name}`)
    const deployment = found && isControlledBy(found.metadata, uid) ? found : undefined
    const template = deployment?.metadata.annotations?.[TEMPLATE_ANNOTATION]
    this.#seen = {
      ...spec,
      deployment,
      pods: podsOf(watched.pods(namespace, name), name, template),
      deletedPods: podsOf(watched.deletedPods(namespace, name), name, template),
      rendered: this.#render(spec),
      memory: this.#memory,
    }
    return viewOf(this.#seen)
  }

  async set(wish: FleetWish): Promise<FleetDone> {
    if (!this.#seen) throw new Error('a fleet is set before it was seen')
    const { memory, ...done } = await carryOut(this.#seen, wish, this.#context)
    this.#memory = memory
    return done
  }

  #render(spec: FleetSpec): Rendered {
    const { pool, generation, queues } = spec
    const names = queues.map(({ name, weight, queueName, secretName }) => [
      name,
      weight,
      queueName,
      secretName,
    ])
    const from = JSON.stringify([pool.metadata.uid, generation, names])
    if (this.#rendered?.from !== from) this.#rendered = { from, rendered: render(spec) }
    return this.#rendered.rendered
  }
}

export function render({ pool, queues }: FleetSpec): Rendered {
  const { namespace } = pool.metadata
  const manifest = deploymentOf({
    pool,
    queues: queues.map(({ name, weight, queueName }) => ({
      name,
      weight,
      ...(queueName && queueName !== defaultQueueName(namespace, name) && { queueName }),
    })),
    secretName: queues[0]?.secretName ?? DEFAULT_REDIS_SECRET,
  })
  return { manifest, hash: hashOf(manifest) }
}

export async function carryOut(
  seen: FleetSeen,
  wish: FleetWish,
  context: WriteContext,
): Promise<FleetDone & { memory: FleetMemory }> {
  const plan = planFleet(seen, wish, context.nowMs())
  const before = { ...seen.memory, ...(plan.guards && { guards: plan.guards.memory }) }
  const attempts = new Attempts()
  const patched = (await attempts.of(patchPods(plan, { ...seen, memory: before }, context))) ?? {}
  const { memory: written, ...done } = (await attempts.of(writeDeployment(plan, seen, context))) ?? {}
  const memory = { ...before, ...patched, ...written, trouble: attempts.troubleAfter(before.trouble) }
  const { failure } = attempts
  const againInMs = hasNews(memory, seen.memory) ? 0 : (done.againInMs ?? plan.guards?.againInMs)
  return {
    ...done,
    ...(againInMs !== undefined && { againInMs }),
    ...(failure !== undefined && { failure }),
    memory,
  }
}

/** A refusal of the API server shows in the status of the same reconcile. */
function hasNews(now: FleetMemory, before: FleetMemory): boolean {
  return now.refusal?.hash !== before.refusal?.hash || now.isNameTaken !== before.isNameTaken
}

/** A failed request holds up no other step. Other errors are thrown. */
class Attempts {
  failure: KubeError | undefined

  async of<T>(attempt: Promise<T>): Promise<T | undefined> {
    try {
      return await attempt
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      this.failure ??= error
      return undefined
    }
  }

  troubleAfter(before: FleetMemory['trouble']): FleetMemory['trouble'] {
    if (!this.failure) return undefined
    const { failure } = this
    return { message: textFromKube(failure), isDenied: isDenied(failure), times: (before?.times ?? 0) + 1 }
  }
}

/** A guard that an admission policy refuses holds up no other write. */
async function patchPods(
  { podPatches }: FleetPlan,
  { pool, memory }: FleetSeen,
  { kube, log, nowMs }: WriteContext,
): Promise<Partial<FleetMemory>> {
  const { namespace, name } = pool.metadata
  const refusals: Error[] = []
  const send = (patch: PodPatch) =>
    kube
      .mergePatch(kinds.pod, namespace, patch.name, { metadata: { annotations: annotationsOf(patch) } })
      .catch(unlessGone)
  const write = async ({ isGuarded, ...mark }: PodPatch) => {
    if (isGuarded === undefined) return send(mark)
    try {
      await send({ ...mark, isGuarded })
    } catch (error) {
      if (!isRefused(error)) throw error
      refusals.push(error)
      if (mark.isMarked !== undefined) await send(mark)
    }
  }
  await Promise.all(podPatches.map(write))
  if (refusals.length === 0) return {}
  log.warn('the API server refuses to guard pods', { namespace, pool: name, error: refusals[0] })
  return { guards: { ...memory.guards, restsUntilMs: nowMs() + REFUSED_GUARDS_REST_MS } }
}

function annotationsOf({ isMarked, isGuarded }: PodPatch): Record<string, string | null> {
  const guard = Object.entries(GUARD).map(([name, value]) => [name, isGuarded ? value : null])
  return {
    ...(isMarked !== undefined && { [DELETION_COST]: isMarked ? LOWEST_COST : null }),
    ...(isGuarded !== undefined && Object.fromEntries(guard)),
  }
}

interface Written extends Pick<FleetDone, 'scaled' | 'againInMs'> {
  memory?: Partial<FleetMemory>
}

async function writeDeployment(
  { deployment: wanted }: FleetPlan,
  seen: FleetSeen,
  context: WriteContext,
): Promise<Written> {
  if (!wanted) return {}
  const { rendered, replicas, isNumberOnly } = wanted
  if (!seen.deployment && (await isSomebodyElses(context.kube, seen)))
    return { memory: { isNameTaken: true } }
  try {
    const { generation = 0 } = (await write(wanted, seen, context)).metadata
    const hash = isNumberOnly ? undefined : rendered.hash
    const memory = {
      applied: { hash, generation, replicas },
      ...(!isNumberOnly && { refusal: undefined, isNameTaken: false }),
    }
    const before = seen.deployment?.spec.replicas
    return { memory, ...(before !== replicas && { scaled: { from: before ?? 0, to: replicas } }) }
  } catch (error) {
    return afterFailure(error, wanted, seen, context)
  }
}

/** Throws errors that may pass. */
function afterFailure(
  error: unknown,
  { rendered, replicas, isNumberOnly }: DeploymentWrite,
  { deployment, memory }: FleetSeen,
  { log, nowMs }: WriteContext,
): Written {
  // The namespace is being deleted, or the Deployment was deleted just now.
  if (isEnding(error) || isNotFound(error)) return {}
  // The cache was stale: the watch will catch up, and the next reconcile decides anew.
  if (isConflict(error)) return deployment ? { againInMs: STALE_AGAIN_MS } : { memory: { isNameTaken: true } }
  if (!isRefused(error)) throw error
  const { namespace, name } = rendered.manifest.metadata
  log.warn('the API server refuses a Deployment', { namespace, pool: name, error })
  const refusal = { hash: rendered.hash, message: error.message, atMs: nowMs() }
  if (!isNumberOnly) return { memory: { refusal } }
  // The template is tried again at the time that was due before.
  const { atMs } = memory.refusal ?? refusal
  return { memory: { refusal: { ...refusal, atMs, replicas } } }
}

function write(
  { rendered: { manifest }, replicas, isNumberOnly, resourceVersion }: DeploymentWrite,
  { deployment, memory }: FleetSeen,
  { kube, leader }: WriteContext,
): Promise<Deployment> {
  const { name, namespace } = manifest.metadata
  const version = resourceVersion ? { resourceVersion } : {}
  // One change of the name per leader is enough: two operators would answer each other's changes for ever.
  const before = memory.applied && deployment?.metadata.annotations?.[LEADER_ANNOTATION]
  const by = { [LEADER_ANNOTATION]: before ?? leader }
  if (isNumberOnly) {
    const metadata = { ...version, annotations: by }
    return kube.mergePatch(kinds.deployment, namespace, name, { metadata, spec: { replicas } })
  }
  const object = {
    ...manifest,
    metadata: { ...manifest.metadata, ...version, annotations: { ...manifest.metadata.annotations, ...by } },
    spec: { ...manifest.spec, replicas },
  }
  // A Deployment that does not exist yet has no other field manager to take over from.
  return kube.apply(kinds.deployment, object, { force: deployment !== undefined })
}

/** The cache has only Deployments with Millhand's label; another one of this name may exist. */
async function isSomebodyElses(kube: WriteContext['kube'], { pool }: FleetSeen): Promise<boolean> {
  const { namespace, name, uid } = pool.metadata
  const found = await kube.findOne<Deployment>(kinds.deployment, namespace, name)
  return found !== undefined && !isControlledBy(found.metadata, uid)
}

function podsOf(pods: Iterable<Pod>, deployment: string, template: string | undefined): FleetPod[] {
  return [...pods].filter((pod) => isOfDeployment(pod, deployment)).map((pod) => readPod(pod, template))
}

/**
 * Whether the ReplicaSet of the pod was made by the Deployment: its name ends in the hash of the template.
 */
function isOfDeployment({ metadata }: Pod, name: string): boolean {
  const owner = metadata.ownerReferences?.find(({ controller }) => controller === true)
  const template = metadata.labels?.['pod-template-hash']
  return owner?.kind === 'ReplicaSet' && template !== undefined && owner.name === `${name}-${template}`
}
