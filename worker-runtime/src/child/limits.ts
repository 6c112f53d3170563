// The limits of the machine that keep a worker from starting another child: said by name, and open files kept
// for the worker itself.
import { read } from './memory.ts'

const FILES_OF_A_CHILD = 3
/** Connections to Redis, the zygote, the guard, and what is opened for a moment. */
const FILES_OF_THE_WORKER = 40
const NO_FILES = /EMFILE|Too many open files/i
const NO_PROCESSES = /EAGAIN|ENOMEM|Resource temporarily unavailable|Cannot allocate memory|_thread_create/i

/** Whether a start failed for want of something that the end of another child sets free. */
export function isForWantOfResources(failure: string): boolean {
  return NO_FILES.test(failure) || NO_PROCESSES.test(failure)
}

/** The failure of a start, with the limit that was met. */
export function withLimit(failure: string): string {
  if (failure.includes('(ulimit ')) return failure
  if (NO_FILES.test(failure))
    return `${failure}: this process may have ${softLimit('Max open files')} open files, and a child needs ${FILES_OF_A_CHILD} (ulimit -n, LimitNOFILE of systemd)`
  if (NO_PROCESSES.test(failure))
    return `${failure}: no more processes, threads or memory for this user (ulimit -u is ${softLimit('Max processes')}), its service (TasksMax) or its container (pids limit)`
  return failure
}

/** How many children a process has descriptors for, with some left for itself. */
export function mostChildren(): number {
  const files = softLimit('Max open files') ?? Number.POSITIVE_INFINITY
  return Math.max(1, Math.floor((files - FILES_OF_THE_WORKER) / FILES_OF_A_CHILD))
}

/** Nothing where there is no /proc; unlimited is infinite. */
function softLimit(name: string): number | undefined {
  const line = read('/proc/self/limits')
    ?.split('\n')
    .find((each) => each.startsWith(name))
  const text = line?.slice(name.length).trim().split(/\s+/)[0]
  if (text === undefined) return
  return text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text)
}
