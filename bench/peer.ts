// A peer of the bench: how it is installed, how its two programs are started, and how many of its jobs are
// not settled yet. Each file in peers/ makes one or more; scenarios/ use nothing else of a peer.
import type { ChildProcess } from 'node:child_process'
import type { Redis } from 'ioredis'

/** One way to run one product, a row of a table. */
export interface Peer {
  /** The name on the command line: `bullmq`, `bullmq-sandboxed`. */
  name: string
  /** The name in tables: `BullMQ, sandboxed`. */
  title: string
  /** How often a job runs whose worker is killed. */
  delivery: 'at least once' | 'at most once'
  /** What a reader must know before a comparison: prefetch, threads, missing features. One sentence. */
  remark: string
  /**
   * Installs exact versions into the cache folder, or finds them there. Returns the versions. Throws the
   * reason when it cannot install.
   */
  install(cache: string): Promise<Record<string, string>>
  /**
   * A program that enqueues (Order → Answer, one JSON object a line on stdin and stdout); it has connected
   * when it prints {"ready":true}.
   */
  startProducer(place: Place): ChildProcess
  /**
   * A program that works until SIGTERM; it consumes when it prints {"ready":true}. Absent where the peer
   * cannot play a scenario.
   */
  startWorker(place: Place, options: WorkerOptions): ChildProcess
  /**
   * The jobs that wait or are held; 0 when all are settled. Undefined where the peer does not record held
   * jobs: then the bench counts starts.
   */
  unsettled: ((redis: Redis, place: Place) => Promise<number>) | undefined
  /** The waiting jobs, for a peer without `unsettled`, so that an enqueue can be checked. */
  waiting?: (redis: Redis) => Promise<number>
  /**
   * A server of the peer's own instead of Redis, on a port of 127.0.0.1. The columns of Redis are empty for
   * such a peer.
   */
  startServer?(port: number): ChildProcess
}

export interface Place {
  cache: string
  /** redis://127.0.0.1:<port>/0 of the round's own server, empty at the start. */
  redisUrl: string
  /** The address of the peer's own server, if it has one. */
  serverPort?: number
  /**
   * The round's own folder. Each process that runs jobs appends a line for each job to a file of its own there:
   * "<n> <started at, µs since 1970>\n".
   */
  records: string
}

export interface WorkerOptions {
  /** Jobs at once. A peer with one job a process starts this many processes. */
  slots: number
  /** The work of a job after it has recorded its start. */
  task: 'no-op' | 'sleeps' | 'fails' | 'sleeps-long'
  /** The rate limit, for peers whose workers have it. */
  rate?: { readonly jobs: number; readonly periodMs: number }
}

/**
 * An order to a producer. `payload` is a string that each job carries beside its number `n`; numbers run from
 * `from`.
 */
export type Order =
  | { do: 'one-by-one'; from: number; count: number; payload: string }
  /** `count` calls, `width` at once; all are awaited before the next `width` start. */
  | { do: 'concurrent'; from: number; count: number; payload: string; width: number }
  /** The peer's own call for many jobs. */
  | { do: 'bulk'; from: number; count: number; payload: string; batch: number }
  /**
   * A file of numbers, one a line: when to enqueue each job, in µs after the start. No call waits for an
   * earlier one.
   */
  | { do: 'paced'; from: number; payload: string; schedule: string }
  /** Enqueue one, await its result, then the next. */
  | { do: 'round-trips'; from: number; count: number; payload: string }
  /** One at a time with a pause between them, so that all processes sleep when the next one comes. */
  | {
      do: 'spaced'
      from: number
      count: number
      payload: string
      gapMs: number
      awaits: 'enqueue' | 'result'
    }
  /** All due at one time, in ms since 1970. */
  | { do: 'delayed'; from: number; count: number; payload: string; dueAtMs: number; batch: number }
  /** Jobs that wait for each other, `size` together. */
  | { do: 'flows'; from: number; count: number; payload: string; shape: Shape; size: number }

/** One job after the other; jobs that only belong together; a last job behind all others. */
export type Shape = 'chain' | 'group' | 'chord'

/**
 * Micros are since 1970. `latenciesMs`: of round-trips and spaced, one a job; `calledAtMicros`: of spaced,
 * when each call began. `unsupported`: the peer has no such call.
 */
export type Answer =
  | { ms: number; startedAtMicros: number; latenciesMs?: number[]; calledAtMicros?: number[] }
  | { unsupported: string }
