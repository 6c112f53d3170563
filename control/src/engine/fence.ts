// Only the leader may write. Every instance reads, so the fence stands where a write leaves the process: in
// the operator's kube/rest.ts for the API server, in redis/seen-queue.ts for Redis.

export interface Fence {
  readonly isOpen: boolean
}

export class NotLeading extends Error {
  override readonly name = 'NotLeading'
}

/** Throws NotLeading, also in the middle of a reconcile that began while this instance led. */
export function pass(fence: Fence): void {
  if (!fence.isOpen) throw new NotLeading('this operator does not lead any more: nothing is written')
}

/** For a process that has no other instance beside it. */
export const openFence: Fence = { isOpen: true }
