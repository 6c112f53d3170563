// One reconcile of a WorkerPool: observe → plan → apply. main.ts gives it to a controller.
import type { Outcome } from '@millhand/control/engine/controller'
import type { Servers } from '@millhand/control/redis/servers'
import { type ApplyContext, applyPlan } from './apply.ts'
import { emptyMemory, type PoolMemory } from './memory.ts'
import { type Caches, type ObservedPool, observeWorkerPool } from './observe.ts'
import { type PoolPlan, planWorkerPool } from './plan.ts'

export interface WorkerPoolContext extends ApplyContext {
  caches: Caches
  servers: Servers
  /** Of the wall clock: it stands in the status. */
  wallMs: () => number
  /** For metrics. */
  onPlanned: (observed: ObservedPool, plan: PoolPlan) => void
  onGone: (namespace: string, name: string) => void
}

export function workerPoolReconciler(context: WorkerPoolContext): (key: string) => Promise<Outcome> {
  const memories = new Map<string, PoolMemory>()
  return async (key) => {
    const object = context.caches.pool(key)
    if (!object || object.metadata.deletionTimestamp) {
      memories.delete(key)
      const [namespace = '', name = ''] = key.split('/')
      context.onGone(namespace, name)
      return {}
    }
    const memory = memoryOf(memories.get(key), object.metadata.uid ?? '')
    const view = await observeWorkerPool(object, { ...context, memory })
    const plan = planWorkerPool(view.observed, { nowMs: context.nowMs(), wallMs: context.wallMs() })
    context.onPlanned(view.observed, plan)
    const { memory: next, againInMs = Infinity, failure } = await applyPlan(plan, view, context)
    memories.set(key, next)
    if (failure !== undefined) throw failure
    // What the API server just refused is said in the status right away.
    const hasNews = next.refusal?.hash !== memory.refusal?.hash || next.isNameTaken !== memory.isNameTaken
    return { againInMs: hasNews ? 0 : Math.min(againInMs, plan.checkAgainAfterMs) }
  }
}

function memoryOf(known: PoolMemory | undefined, uid: string): PoolMemory {
  return known?.uid === uid ? known : emptyMemory(uid)
}
