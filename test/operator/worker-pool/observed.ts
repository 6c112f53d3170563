// An observed pool for tables of decisions: everything well, with what a row says changed.
import { silent } from 'millhand/queue'
import { emptyMemory, type PoolMemory } from '../../../control/src/decide/memory.ts'
import type { ObservedPool, ObservedQueue, ObservedWorker } from '../../../control/src/decide/observed.ts'
import * as decide from '../../../control/src/decide/pool.ts'
import { type Applied, type ApplyContext, applyPlan } from '../../../control/src/reconcile/worker-pool.ts'
import { checkAgainstSchema } from '../../../control/src/resources/schema.ts'
import {
  parseWorkerPool,
  type WorkerPool,
  type WorkerPoolManifest,
} from '../../../control/src/resources/worker-pool.ts'
import type { Deployment, Pod } from '../../../operator/src/fleet/cluster.ts'
import { carryOut, KubeFleet, render, type WriteContext } from '../../../operator/src/fleet/kube-fleet.ts'
import type { FleetPod } from '../../../operator/src/fleet/pods.ts'
import { type FleetMemory, type FleetSeen, noFleetMemory, viewOf } from '../../../operator/src/fleet/view.ts'
import { type FleetPlan, planFleet } from '../../../operator/src/fleet/write.ts'
import { schemas } from '../../control/resources/crds.ts'

export const NOW = Date.parse('2026-01-01T12:00:00Z')

export const poolOf = (spec: object = {}): WorkerPool => parseWorkerPool(declaredPool(spec), 'default')

/** As the API server has it, defaults filled in. */
export function declaredPool(spec: object = {}): WorkerPoolManifest {
  const template = { spec: { containers: [{ name: 'worker', image: 'example/mail:1' }] } }
  const manifest = {
    apiVersion: 'millhand.dev/v1beta1',
    kind: 'WorkerPool',
    metadata: { name: 'mail', namespace: 'shop', uid: 'pool-uid' },
    spec: { queues: [{ name: 'mail' }], template, ...spec },
  }
  const { value, problems } = checkAgainstSchema(manifest, schemas.WorkerPool)
  if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join('\n'))
  return value as WorkerPoolManifest
}

export const queueOf = (load: Partial<NonNullable<ObservedQueue['load']>> = {}): ObservedQueue => ({
  name: 'mail',
  weight: 1,
  queueName: 'shop.mail',
  secretName: 'millhand-redis',
  load: { ready: 0, busy: 0, isStopped: false, share: 1, ...load },
})

export const podOf = (uid: string, pod: Partial<FleetPod> = {}): FleetPod => ({
  name: `mail-${uid}`,
  uid,
  startedAtMs: NOW - 600_000,
  state: 'live',
  isReady: true,
  isCurrent: true,
  templateHash: 'a',
  isMarked: false,
  guard: 'off',
  isForced: false,
  deaths: [],
  ...pod,
})

export const workerOf = (podUid: string, held = 0, worker: Partial<ObservedWorker> = {}): ObservedWorker => ({
  name: `process-${podUid}:1`,
  queue: 'shop.mail',
  process: `process-${podUid}`,
  isAlive: true,
  podUid,
  held,
  isDraining: false,
  isolation: 'Fork',
  ...worker,
})

export const deploymentWith = (replicas: number, more: object = {}): Deployment => ({
  metadata: { name: 'mail', namespace: 'shop', uid: 'deployment-uid', generation: 4, resourceVersion: '77' },
  spec: { replicas },
  status: { observedGeneration: 4, replicas, updatedReplicas: replicas },
  ...more,
})

export const memoryOf = (memory: Partial<Memory> = {}): Memory => ({
  ...emptyMemory('pool-uid'),
  ...noFleetMemory,
  ...memory,
})

/** `uids` drain since a while. */
export const draining = (...uids: string[]): PoolMemory['draining'] =>
  new Map(uids.map((uid) => [uid, { sinceMs: NOW - 5_000, renewedAtMs: NOW - 5_000 }]))

export type Memory = PoolMemory & FleetMemory

/** What is observed of a pool and of its Deployment, in one. */
export interface Observed extends Omit<ObservedPool, 'fleet' | 'memory'> {
  deployment: Deployment | undefined
  pods: FleetPod[]
  deletedPods: FleetPod[]
  memory: Memory
}

export interface Planned extends decide.PoolPlan, FleetPlan {
  memory: Memory
}

export function observed(changes: Partial<Observed> = {}): Observed {
  return {
    pool: poolOf({ scaling: { behavior: { scaleDown: { stabilizationWindowSeconds: 0 } } } }),
    generation: 1,
    status: undefined,
    queues: [queueOf()],
    deployment: undefined,
    pods: [],
    deletedPods: [],
    workers: [],
    memory: memoryOf(),
    ...changes,
  }
}

export const fleetOf = (seen: Observed): FleetSeen => ({ ...seen, rendered: render(seen) })

/** A fleet of which only this is watched, and that nobody sets. */
export const fleetThatShows = (pods: readonly Pod[] = []): KubeFleet =>
  new KubeFleet({
    watched: { deployment: () => undefined, pods: () => pods, deletedPods: () => [] },
    kube: {} as WriteContext['kube'],
    log: silent,
    leader: 'test',
    nowMs: () => NOW,
  })

/** What is decided for the pool, and what that means for its Deployment. */
export function planWorkerPool(seen: Observed, clocks: decide.Clocks): Planned {
  const fleet = fleetOf(seen)
  const plan = decide.planWorkerPool({ ...seen, fleet: viewOf(fleet) }, clocks)
  const written = planFleet(fleet, plan.wish, clocks.nowMs)
  const guards = written.guards?.memory ?? seen.memory.guards
  return {
    ...plan,
    ...written,
    memory: { ...seen.memory, ...plan.memory, guards },
    checkAgainAfterMs: Math.min(plan.checkAgainAfterMs, written.guards?.againInMs ?? Infinity),
  }
}

/** As a reconcile does it, before an API server of the test's own. */
export async function appliedPlan(
  plan: Planned,
  seen: Observed,
  context: WriteContext & ApplyContext,
): Promise<Applied & { memory: Memory }> {
  const fleetSeen = fleetOf(seen)
  let fleetMemory: FleetMemory = seen.memory
  const fleet = {
    set: async (wish: decide.PoolPlan['wish']) => {
      const { memory, ...done } = await carryOut(fleetSeen, wish, context)
      fleetMemory = memory
      return done
    },
  }
  const view = { observed: { ...seen, fleet: viewOf(fleetSeen) }, seen: [], fleet }
  const outcome = await applyPlan(plan, view, context)
  const { applied, refusal, isNameTaken, trouble, guards } = fleetMemory
  return { ...outcome, memory: { ...outcome.memory, applied, refusal, isNameTaken, trouble, guards } }
}
