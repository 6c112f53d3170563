// The events of local/, as data: the CLI and the demo print them, tests wait for them.
import type { EventReason } from '@millhand/control/resources/reasons'
import type { Kind } from '@millhand/control/resources/schemas'
import type { News } from '@millhand/control/world'
import type { PlacedProblem } from './documents.ts'

export type LocalEvent =
  | { kind: 'warning'; message: string }
  /** No server is installed: one is downloaded, once. */
  | { kind: 'redis-fetching'; message: string }
  | { kind: 'redis-started'; url: string; version: string; dataFolder?: string }
  | { kind: 'redis-exited'; output: string }
  | { kind: 'redis-away'; message: string }
  | { kind: 'redis-back' }
  | { kind: 'queue-configured'; queue: string }
  /** The wanted number of workers changed. */
  | { kind: 'pool-scaled'; pool: string; from: number; to: number; reason: string; message: string }
  | { kind: 'worker-started'; pool: string; worker: string; pid: number }
  | { kind: 'worker-ready'; pool: string; worker: string; pid: number; startedWithinMs: number }
  /** `entry` is absent where the line is not JSON of the worker's log. */
  | {
      kind: 'worker-output'
      pool: string
      worker: string
      stream: 'stdout' | 'stderr'
      line: string
      entry?: WorkerLogEntry
    }
  | {
      kind: 'worker-stopping'
      pool: string
      worker: string
      pid: number
      because: 'idle' | 'replaced' | 'deleted' | 'stop'
    }
  | { kind: 'worker-stopped'; pool: string; worker: string; pid: number }
  /** It ended without being told to. */
  | { kind: 'worker-died'; pool: string; worker: string; pid: number; reason: string; nextStartInMs: number }
  | { kind: 'jobs-put-back'; pool: string; worker: string; jobs: number; reason: string }
  /** The configuration keeps the workers from starting. They are started again when a file changes. */
  | { kind: 'pool-misconfigured'; pool: string; message: string }
  /** The Events of a cluster: a condition changed, a pool was scaled. */
  | {
      kind: 'resource-event'
      resource: Kind
      namespace: string
      name: string
      type: News['type']
      reason: EventReason
      message: string
    }
  /** Somebody wrote by the dashboard or its API; `outcome` is `done`, or the code of an error. */
  | {
      kind: 'dashboard-write'
      verb: string
      resource: string
      queue: string
      outcome: string
      ids?: string[]
    }
  /** Changes below these folders are noticed. Changes of other files that tasks import are not. */
  | { kind: 'watching'; folders: readonly string[] }
  | { kind: 'code-changed'; files: string[]; pools: string[] }
  | { kind: 'manifests-changed'; files: string[] }
  | { kind: 'manifests-refused'; problems: readonly PlacedProblem[] }
  | { kind: 'stopping'; workers: number }

export interface WorkerLogEntry {
  level: string
  message: string
  [fact: string]: unknown
}

export type OnEvent = (event: LocalEvent) => void
