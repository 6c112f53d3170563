// What keeps the jobs of a queue from running on the side of pods: the operator's part of why a job does not
// run (the other part: millhand/queue, why.ts). Pure.
import type { Condition } from '../resources/conditions.ts'
import type { WorkerPoolObject } from '../resources/worker-pool.ts'

/** As in millhand/queue; `code` is a reason of a condition, of a decision, or NoPool. */
export interface PoolCause {
  readonly code: string
  readonly text: string
  readonly sinceMs?: number
  /** `workerpool/<name>`. */
  readonly subject?: string
}

/** The causes that pods can mend: only behind these do pools matter. */
const NEEDS_PODS = ['no-workers', 'draining', 'slots-busy']

export const needsPods = (causes: readonly PoolCause[]): boolean =>
  causes.some(({ code }) => NEEDS_PODS.includes(code))

/** Adds what the pools of the queue say. `pools`: those of its namespace. */
export function whyWithPools<C extends PoolCause>(
  causes: readonly C[],
  queue: string,
  pools: readonly WorkerPoolObject[],
): (C | PoolCause)[] {
  if (!needsPods(causes)) return [...causes]
  const own = pools.filter(({ spec }) => spec.queues.some(({ name }) => name === queue))
  if (own.length === 0)
    return [...causes, { code: 'NoPool', text: `no WorkerPool names the queue ${queue} in spec.queues` }]
  return [...causes, ...own.flatMap(causesOfPool)]
}

function causesOfPool({ metadata: { name }, status }: WorkerPoolObject): PoolCause[] {
  const cause = (code: string, text: string, condition?: Condition): PoolCause => {
    const sinceMs = Date.parse(condition?.lastTransitionTime ?? '')
    const since = Number.isFinite(sinceMs) && { sinceMs }
    return { code, text: `WorkerPool ${name}: ${text}`, subject: `workerpool/${name}`, ...since }
  }
  if (!status)
    return [cause('NoStatus', 'it has no status yet: the operator has not seen it, or does not run')]
  const conditionOf = (type: Condition['type']) => status.conditions.find((each) => each.type === type)
  const [ready, limited] = [conditionOf('Ready'), conditionOf('ScalingLimited')]
  const { reason, message } = status.decision
  const found: PoolCause[] = []
  if (ready && ready.status !== 'True') found.push(cause(ready.reason, ready.message, ready))
  if (limited?.status === 'True') found.push(cause(limited.reason, limited.message, limited))
  else if (status.replicas === 0 && status.desiredReplicas === 0) found.push(cause(reason, message))
  else if (found.length === 0 && status.desiredReplicas > status.readyReplicas)
    found.push(cause('PodsStarting', `${status.readyReplicas} of ${status.desiredReplicas} pods are ready`))
  else if (found.length === 0) found.push(cause(reason, `${status.readyReplicas} pods: ${message}`))
  return found
}
