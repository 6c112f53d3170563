// Calls the reconcile function for each key of its queue, some keys at a time, and retries after a failure.
// controllers.ts starts one for each kind; reflectors, ticks and messages of Redis enqueue.
import type { Log } from 'millhand/queue'
import { WorkQueue } from './work-queue.ts'

/** `againInMs`: reconcile again after this time. */
export interface Outcome {
  againInMs?: number
}

export type Reconcile = (key: string) => Promise<Outcome>

export interface ControllerBounds {
  /** Keys that run at once. */
  workers: number
  /** Keys of one namespace that run at once, so that none can occupy all workers; default: no bound. */
  perNamespace?: number
}

export interface ControllerOptions extends ControllerBounds {
  name: string
  reconcile: Reconcile
  log: Log
  observer?: ControllerObserver
}

/** For metrics. */
export interface ControllerObserver {
  onReconciled(seen: { controller: string; result: Result; durationMs: number }): void
  onAdded?(seen: { controller: string; depth: number }): void
  onTaken?(seen: { controller: string; depth: number; waitedMs: number }): void
  onRetried?(seen: { controller: string }): void
}

export type Result = 'success' | 'again' | 'error'

export interface Controller {
  enqueue(key: string): void
  /** Takes no more keys; resolves when the running reconciles have ended. */
  stop(): Promise<void>
}

/**
 * Reconciles mostly wait for servers. With these bounds, 32 namespaces with servers as slow as allowed delay
 * nobody else.
 */
export const QUEUES_AT_ONCE = { workers: 128, perNamespace: 4 }
export const POOLS_AT_ONCE = { workers: 256, perNamespace: 8 }
export const SCHEDULES_AT_ONCE = { workers: 128, perNamespace: 4 }

const LOG_EVERY = 10

export function startController(options: ControllerOptions): Controller {
  const { name, workers, perNamespace, observer } = options
  const queue = new WorkQueue({
    ...(perNamespace !== undefined && { perNamespace }),
    observer: {
      onAdded: (seen) => observer?.onAdded?.({ controller: name, ...seen }),
      onTaken: (seen) => observer?.onTaken?.({ controller: name, ...seen }),
      onRetried: () => observer?.onRetried?.({ controller: name }),
    },
  })
  const running = Array.from({ length: workers }, () => work(queue, options))
  return {
    enqueue: (key) => queue.add(key),
    stop: async () => {
      queue.close()
      await Promise.all(running)
    },
  }
}

async function work(queue: WorkQueue, options: ControllerOptions): Promise<void> {
  const { name, observer } = options
  for (let key = await queue.next(); key !== undefined; key = await queue.next()) {
    const startedMs = performance.now()
    const result = await reconcileOnce(queue, key, options)
    observer?.onReconciled({ controller: name, result, durationMs: performance.now() - startedMs })
    queue.done(key)
  }
}

async function reconcileOnce(queue: WorkQueue, key: string, options: ControllerOptions): Promise<Result> {
  const { name, reconcile, log } = options
  try {
    const { againInMs } = await reconcile(key)
    if (queue.failuresOf(key) > 0) log.info('reconcile works again', { controller: name, key })
    queue.forget(key)
    if (againInMs === undefined) return 'success'
    queue.addAfter(key, againInMs)
    return 'again'
  } catch (error) {
    queue.addLimited(key)
    const failures = queue.failuresOf(key)
    if (failures === 1 || failures % LOG_EVERY === 0)
      log.warn('reconcile failed: retrying', { controller: name, key, failures, error })
    return 'error'
  }
}
