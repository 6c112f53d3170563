// Processes that jobs have detached become children of the worker when no zygote takes them: the worker is a
// subreaper, or PID 1. Their job has ended, so they are killed, and waited for, or they would stay as
// zombies. main.ts starts this.
import type { ChildProcess } from 'node:child_process'
import { childrenOf, isZombie, killAll } from './descendants.ts'
import { read } from './memory.ts'
import { loadNative, type Native } from './source/fork/native.ts'

const EVERY_MS = 1_000
/** The container's variable, which jobs do not have and those have that a person starts in the container. */
const OF_THE_CONTAINER = /(?:^|\0)MILLHAND_QUEUES=/

const own = new Set<number>()
let look = () => {}

/** A process that the worker has started itself. When it ends, what it leaves comes to the worker. */
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
 * Returns how to stop. Only for a process whose children are all known to isOurs. Does nothing where the
 * compiled part cannot be had.
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
    return // the note of the worker says so already
  }
}
