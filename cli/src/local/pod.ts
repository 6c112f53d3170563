// The pod of one worker, whose process may start several times: its state for the reconcile, and why it is
// not ready, with the reason that a kubelet would give. Pure; used by fleet.ts.
import { cutText } from '@millhand/control/resources/bounds'
import type { Death, Trouble, Unregistered, WorkerPod } from '@millhand/control/world'
import type { Ending, WorkerProcess } from './worker-process.ts'

export interface LocalPod {
  /** `<pool>-<n>`. */
  readonly name: string
  readonly uid: string
  /** The template that it runs. A pod with an old one is replaced. */
  readonly template: string
  readonly createdAtMs: number
  process?: WorkerProcess
  isStopping: boolean
  /** How often its process ended without being told to. */
  restarts: number
  /** Why it is not ready, until it is. */
  trouble?: Trouble | undefined
  deaths: Death[]
}

/** A process that ran for longer did not crash on start. */
const CRASHES_WITHIN_MS = 300_000
/** After this many restarts the pod counts as crash looping. */
const RESTARTS_OF_A_LOOP = 3
const MAX_WORDS = 300

/** `applied`: the template that was set last. `trouble`: why the pool starts no process. */
export function viewOf(
  pod: LocalPod,
  { applied, trouble: ofAll }: { applied: string | undefined; trouble: Trouble | undefined },
): WorkerPod {
  const { name, uid, createdAtMs, process, isStopping, deaths } = pod
  const trouble = pod.trouble ?? (process ? undefined : ofAll)
  return {
    name,
    uid,
    startedAtMs: createdAtMs,
    state: isStopping ? 'terminating' : 'live',
    isReady: process?.isReady === true,
    isCurrent: pod.template === applied,
    isForced: false,
    ...(trouble && { trouble }),
    ...(process && !process.isReady && { unregisteredSinceMs: process.startedAtMs }),
    deaths,
  }
}

export const unregisteredOf = (pod: string): Unregistered => ({
  never: 'it cannot reach Redis, Redis refuses its password, or its modules take longer to load',
  noMore: 'it lost its connection to Redis',
  remedy: `See the lines of ${pod} in the output of millhand up`,
})

/** Undefined for a process that ran for a while: it is just restarted. */
export function crashOf(
  { name, restarts }: { name: string; restarts: number },
  ending: Ending,
  livedMs: number,
): Trouble | undefined {
  if (livedMs > CRASHES_WITHIN_MS) return undefined
  return {
    reason: 'CrashLoopBackOff',
    message: `worker ${name}: crash looping: ${howEnded(ending)}${lastWords(ending)}`,
    isLasting: restarts >= RESTARTS_OF_A_LOOP,
  }
}

/** The pool starts no worker until a file changes. */
export function misconfigurationOf(pool: string, ending: Ending): Trouble {
  const how = `${howEnded(ending)} (invalid settings or task files)`
  return {
    reason: 'CrashLoopBackOff',
    message: `workers of ${pool}: crash looping: ${how}${lastWords(ending)}`,
    isLasting: true,
  }
}

const howEnded = ({ code, signal }: Ending) => (signal ? `signal ${signal}` : `exit code ${code}`)

function lastWords({ lastWords: words }: Ending): string {
  return words ? `: ${cutText(words, MAX_WORDS)}` : ''
}
