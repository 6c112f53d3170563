// Processes that jobs detached become children of the worker, a subreaper or PID 1, where no zygote adopts
// them. Their job has ended, so this kills and reaps them. Started by main.ts.
import type { ChildProcess } from 'node:child_process'
import { childrenOf, isZombie, killAll } from './descendants.ts'
import { read } from './memory.ts'
import { loadNative, type Native } from './source/fork/native.ts'

const EVERY_MS = 1_000
/** A variable of the container. Jobs do not have it; processes of `kubectl exec` do. */
const OF_THE_CONTAINER = /(?:^|\0)MILLHAND_QUEUES=/

const own = new Set<number>()
let look = () => {}

/** A process that the worker started. When it ends, the worker adopts its orphans. */
export function isOurs(started: ChildProcess): ChildProcess {
  const { pid } = started
  if (pid === undefined) return started
  own.add(pid)
  started.once('exit', () => {
    own.delete(pid)
    look()
  })
  return started
}

/**
 * Returns a function that stops it. Only for a process whose children are all known to isOurs. Does nothing
 * without the compiled part.
 */
export function endOrphans(): () => void {
  const native = nativeOrNothing()
  if (!native) return () => {}
  native.beSubreaper()
  look = () => endThose(native)
  const timer = setInterval(() => look(), EVERY_MS)
  return () => clearInterval(timer)
}

function endThose(native: Native): void {
  const orphans = childrenOf(process.pid).filter((pid) => !own.has(pid))
  for (const pid of orphans) if (isZombie(pid)) native.reap(pid)
  killAll(orphans.filter((pid) => !OF_THE_CONTAINER.test(read(`/proc/${pid}/environ`) ?? '')))
}

function nativeOrNothing(): Native | undefined {
  try {
    return loadNative()
  } catch {
    return // the worker has logged it
  }
}
