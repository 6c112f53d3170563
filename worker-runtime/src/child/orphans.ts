// Where the worker is PID 1 (of a container), it inherits every process whose parent has died: children of a dead zygote, processes that
// jobs left behind. Somebody must wait for them, or they stay as zombies. children.ts starts this.
import { read } from './memory.ts'
import { loadNative, type Native } from './native.ts'

const EVERY_MS = 1_000

/** Returns how to stop. Does nothing where the worker is not PID 1, or where the compiled part cannot be had. */
export function reapOrphans(): () => void {
  const native = process.pid === 1 ? nativeOrNothing() : undefined
  if (!native) return () => {}
  let seen = new Set<number>()
  const timer = setInterval(() => {
    seen = reapThoseOf(seen, native)
  }, EVERY_MS)
  return () => clearInterval(timer)
}

/** Node waits for its own children at once; what is a zombie at two looks is not one of them. Returns those seen for the first time. */
function reapThoseOf(seen: Set<number>, native: Native): Set<number> {
  const zombies = childrenOfThis().filter(isZombie)
  for (const pid of zombies) if (seen.has(pid)) native.reap(pid)
  return new Set(zombies.filter((pid) => !seen.has(pid)))
}

function nativeOrNothing(): Native | undefined {
  try {
    return loadNative()
  } catch {
    return // the note of the worker says so already
  }
}

function childrenOfThis(): number[] {
  const text = read(`/proc/self/task/${process.pid}/children`)
  return (text ?? '').split(' ').filter(Boolean).map(Number)
}

function isZombie(pid: number): boolean {
  return read(`/proc/${pid}/stat`)?.includes(') Z ') ?? false
}
