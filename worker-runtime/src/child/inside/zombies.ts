// A child is the subreaper of its jobs: what they detach stays below it, and is ended with it. Where it
// serves many jobs, it waits for those that have ended before, or they would stay as zombies.
import { childrenOf, isZombie } from '../descendants.ts'
import type { Native } from '../source/fork/native.ts'

const EVERY_MS = 1_000

export function reapZombies(native: Pick<Native, 'reap'>): void {
  let seen = new Set<number>()
  setInterval(() => {
    // Node waits for what it has started at once: what is a zombie at two looks is not of that.
    const zombies = childrenOf(process.pid).filter(isZombie)
    for (const pid of zombies) if (seen.has(pid)) native.reap(pid)
    seen = new Set(zombies.filter((pid) => !seen.has(pid)))
  }, EVERY_MS).unref()
}
