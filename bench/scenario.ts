// A scenario of the bench: its peers, its rounds, its figures and its criteria. Each file in scenarios/
// defines one; runner.ts runs it, report.ts and charts.ts show it.
import type { Peer, Place, WorkerOptions } from './peer.ts'
import type { Program } from './processes.ts'
import type { Server } from './server.ts'

export interface Scenario {
  /** Like `B1`. */
  readonly id: string
  readonly title: string
  /** One sentence: what a round does and what its main figure counts. */
  readonly about: string
  /** The names of the default peers, in the order of the table. */
  readonly peers: readonly string[]
  /** The scenario has no worker, so titles do not tell how a worker runs jobs. */
  readonly isOfProducers?: boolean
  /** Each peer plays each of them; none means one round a peer. */
  readonly variants?: readonly string[]
  /** Not every peer plays every variant. */
  readonly plays?: (peer: string, variant: string) => boolean
  /**
   * The number of jobs of a round: a fixed one for the warm-up, then as many as take these seconds, at most
   * `most`.
   */
  readonly jobs: {
    readonly warmUp: number
    readonly most: number
    readonly seconds?: number
    readonly step?: number
  }
  /** The default number of rounds; 1 where a round has many trials. */
  readonly rounds?: number
  /** False: no warm-up round, and a round has `most` jobs. */
  readonly hasWarmUp?: boolean
  readonly settings?: (variant: string) => Record<string, string>
  /** The server that it needs instead of the redis-server on the PATH. */
  readonly program?: () => Promise<string>
  /** The first one is the main figure. */
  readonly figures: readonly Figure[]
  round(round: Round): Promise<Figures>
  criteria(results: Results): Criterion[]
}

export interface Figure {
  readonly name: string
  readonly title: string
  readonly better: 'more' | 'less' | 'neither'
}

export type Figures = Record<string, number>

export interface Criterion {
  readonly text: string
  readonly measured: string
  /** undefined: this run did not measure it. */
  readonly held: boolean | undefined
}

/** The tools of a scenario in one round. */
export interface Round {
  readonly peer: Peer
  readonly variant: string
  readonly count: number
  readonly extent: Extent
  readonly isWarmUp: boolean
  readonly place: Place
  readonly server: Server
  readonly payload: string
  /** How long a drain may settle no job; default: STILL_MS. */
  readonly stillMs?: number | undefined
  startProducer(place?: Place): Promise<Program>
  /** Not ready yet: await its ready(). */
  startWorker(options: WorkerOptions, place?: Place): Program
  /** A server beside the round's own. */
  startServer(): Promise<Server>
  /** Stopped at the end of the round. */
  keep(program: Program): Program
  /** A folder of the round's own. */
  folder(name: string): string
  /** Marks the round as failed, with the reason. */
  fail(problem: string): void
  note(text: string): void
  /** Figures of rounds before this one, the warm-up included. */
  earlier(peer: string, variant: string): Figures | undefined
}

export type Extent = 'quick' | 'normal' | 'full'

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

/** The rounds of one scenario, for its criteria. */
export interface Results {
  /** The figure in the exact rounds; undefined when there is none. */
  figure(peer: string, name: string, variant?: string): Spread | undefined
  /** Round by round, because the speed of the machine changes. */
  ratio(peer: string, to: string, name: string, variants?: [string, string]): Spread | undefined
}

export const RATE = { name: 'jobsPerSecond', title: 'jobs/s', better: 'more' } as const
export const JOBS = { name: 'jobs', title: 'jobs', better: 'neither' } as const
const COSTS = {
  producer: { name: 'producerMicros', title: 'producer CPU µs/job', better: 'less' },
  worker: { name: 'workerMicros', title: 'worker CPU µs/job', better: 'less' },
  redis: { name: 'redisMicros', title: 'Redis CPU µs/job', better: 'less' },
  commands: { name: 'commands', title: 'commands/job', better: 'less' },
  reads: { name: 'roundTrips', title: 'round trips/job', better: 'less' },
  bytes: { name: 'bytes', title: 'bytes/waiting job', better: 'less' },
} as const
export const ENQUEUE_FIGURES: readonly Figure[] = [
  RATE,
  COSTS.producer,
  COSTS.redis,
  COSTS.commands,
  COSTS.reads,
  COSTS.bytes,
  JOBS,
]
/** The peers of a scenario that only enqueues. */
export const PRODUCERS = [
  'millhand-fork',
  'bullmq',
  'asynq',
  'sidekiq',
  'gearman',
  'celery-prefork',
  'rq',
  'huey',
  'dramatiq',
]
export const DRAIN_FIGURES: readonly Figure[] = [
  RATE,
  COSTS.worker,
  COSTS.redis,
  COSTS.commands,
  COSTS.reads,
  JOBS,
]

interface Bound {
  peer: string
  /** The name of a figure. */
  figure: string
  least?: number
  most?: number
  unit: string
  variant?: string
  text?: string
}

/** `least` or `most` of a figure's median. */
export function within(
  results: Results,
  { peer, figure, least, most, unit, variant = '', text }: Bound,
): Criterion {
  const limit = least !== undefined ? `at least ${numberText(least)}` : `at most ${numberText(most ?? 0)}`
  const spread = results.figure(peer, figure, variant)
  return {
    text: `${text ?? labelOf(peer, variant)}: ${limit} ${unit}`,
    measured: spread ? `${numberText(spread.median)} ${unit}` : 'not measured',
    held: spread && spread.median >= (least ?? -Infinity) && spread.median <= (most ?? Infinity),
  }
}

interface Ratio {
  peer: string
  to: string
  least: number
  variants?: [string, string]
}

/** The median of the ratios of rounds, in jobs a second. */
export function times(results: Results, { peer, to, least, variants = ['', ''] }: Ratio): Criterion {
  const spread = results.ratio(peer, to, RATE.name, variants)
  return {
    text: `${labelOf(peer, variants[0])}: at least ${least} times ${labelOf(to, variants[1])}`,
    measured: ratioText(spread),
    held: spread && spread.median >= least,
  }
}

/** The same for a figure where less is better. */
export function atMostTimes(
  results: Results,
  { peer, to, figure, most }: { peer: string; to: string; figure: Figure; most: number },
): Criterion {
  const spread = results.ratio(peer, to, figure.name)
  return {
    text: `${peer}: ${figure.title} at most ${most} times that of ${to}`,
    measured: ratioText(spread),
    held: spread && spread.median <= most,
  }
}

const ratioText = (spread: Spread | undefined): string =>
  spread
    ? `${numberText(spread.median)} (${numberText(spread.min)} to ${numberText(spread.max)})`
    : 'not measured'

export const labelOf = (peer: string, variant: string): string => (variant ? `${peer}, ${variant}` : peer)

export function numberText(value: number): string {
  if (!Number.isFinite(value)) return '–'
  const size = Math.abs(value)
  if (size >= 1_000) return Math.round(value).toLocaleString('en-US')
  if (size >= 100 || Number.isInteger(value)) return String(Math.round(value))
  return value.toPrecision(size >= 10 ? 3 : size < 1 ? 2 : 3)
}
