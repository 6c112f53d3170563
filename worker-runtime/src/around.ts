// `use()`: what a process of tasks does around every attempt. The list is on globalThis, as the tasks are
// (task.ts).
import type { Job } from './task.ts'

/** Runs around an attempt; `next` runs the task, or what was registered after it. */
export type Around = (job: Job, next: () => Promise<unknown>) => unknown

const AROUND = Symbol.for('millhand.around')

/**
 * Registers a function that runs around every attempt in the processes that load this module, the first one
 * outermost: `use(async (job, next) => { before(); try { await next() } finally { after() } })`.
 *
 * `next` resolves with what the task returned, and rejects with what it threw. The result of the job stays
 * that of the task, whatever the function returns; what it throws, the attempt fails with. It must call
 * `next` once. Throws TypeError for anything but a function.
 */
export function use(around: Around): void {
  if (typeof around !== 'function') throw new TypeError('use() takes a function: use(async (job, next) => …)')
  registered().push(around)
}

/** The task within all of these, the first one outermost. */
export function within([around, ...others]: readonly Around[], job: Job, run: () => unknown): unknown {
  return around ? runWithin(around, job, async () => within(others, job, run)) : run()
}

async function runWithin(around: Around, job: Job, run: () => Promise<unknown>): Promise<unknown> {
  let inner: Promise<unknown> | undefined
  await around(job, () => {
    if (inner) throw new Error('a function of use() called next() twice')
    inner = run()
    inner.catch(() => {}) // it is told below, or by an error that came before it
    return inner
  })
  if (!inner) throw new Error('a function of use() did not call next(), so the task did not run')
  return inner
}

export function registered(): Around[] {
  const shared = globalThis as { [AROUND]?: Around[] }
  shared[AROUND] ??= []
  return shared[AROUND]
}
