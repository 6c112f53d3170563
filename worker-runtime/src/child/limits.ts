// The limits of the machine for children: names the limit that a start met, and reserves open files for the
// worker.
import { read } from './memory.ts'

const FILES_OF_A_CHILD = 3
/** Connections to Redis, the zygote, the guard, and short-lived files. */
const FILES_OF_THE_WORKER = 40
const NO_FILES = /EMFILE|Too many open files/i
const NO_PROCESSES = /EAGAIN|ENOMEM|Resource temporarily unavailable|Cannot allocate memory|_thread_create/i

/** Whether a start failed for a resource that the end of another child frees. */
export function isForWantOfResources(failure: string): boolean {
  return NO_FILES.test(failure) || NO_PROCESSES.test(failure)
}

/** The failure of a start, with the name of the limit. */
export function withLimit(failure: string): string {
  if (failure.includes('(ulimit ')) return failure
  if (NO_FILES.test(failure))
    return `${failure}: this process may have ${softLimit('Max open files')} open files, and a child needs ${FILES_OF_A_CHILD} (ulimit -n, LimitNOFILE of systemd)`
  if (NO_PROCESSES.test(failure))
    return `${failure}: no more processes, threads or memory for this user (ulimit -u is ${softLimit('Max processes')}), its service (TasksMax) or its container (pids limit)`
  return failure
}

/** For how many children the process has descriptors, without its own reserve. */
export function mostChildren(): number {
  const files = softLimit('Max open files') ?? Number.POSITIVE_INFINITY
  return Math.max(1, Math.floor((files - FILES_OF_THE_WORKER) / FILES_OF_A_CHILD))
}

/** Undefined without /proc; Infinity: unlimited. */
function softLimit(name: string): number | undefined {
  const line = read('/proc/self/limits')
    ?.split('\n')
    .find((each) => each.startsWith(name))
  const text = line?.slice(name.length).trim().split(/\s+/)[0]
  if (text === undefined) return
  return text === 'unlimited' ? Number.POSITIVE_INFINITY : Number(text)
}
