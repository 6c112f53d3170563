// A child is the subreaper of its jobs: processes that they detach stay below it and end with it. A child
// with many jobs reaps them, or they would stay as zombies.
import { childrenOf, isZombie } from '../descendants.ts'
import type { Native } from '../source/fork/native.ts'

const EVERY_MS = 1_000

export function reapZombies(native: Pick<Native, 'reap'>): void {
  let seen = new Set<number>()
  setInterval(() => {
    // Node reaps its own processes at once: a zombie at two looks is not one of them.
    const zombies = childrenOf(process.pid).filter(isZombie)
    for (const pid of zombies) if (seen.has(pid)) native.reap(pid)
    seen = new Set(zombies.filter((pid) => !seen.has(pid)))
  }, EVERY_MS).unref()
}
