// The metrics of a worker, for Prometheus. main.ts loads this file only where MILLHAND_HTTP_PORT is set. A
// zygote never loads it: each fork would pay for its pages.
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Outcome } from './child/outcome.ts'
import type { Page } from './http.ts'

/** The events that worker.ts reports. */
export interface Recorder {
  /** A job was claimed for the first time. */
  claimed(queue: string, enqueuedAtMs: number): void
  ended(queue: string, task: string, outcome: Outcome): void
}

export interface Metrics extends Recorder {
  forked(micros: number): void
  /** Redis refused to settle an attempt. */
  refused(queue: string): void
  /** Once the worker has its parts. */
  watch(parts: WatchedParts): void
  page(): Promise<Page>
}

export interface MetricsOptions {
  readonly slots: number
  /** Name in Redis → name of the TaskQueue, which is what the operator's metrics call it. */
  readonly queues: ReadonlyMap<string, string>
  /** The wall clock. */
  readonly nowMs: () => number
}

export interface WatchedParts {
  busySlots(): number
  isRedisUp(): boolean
  /** Nothing where there is no zygote. */
  zygoteRssBytes(): number | undefined
}

const MOST_TASKS = 100
const OTHER_TASKS = 'other'
const WAIT_AND_DURATION_SECONDS = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600, 1800,
]
const FORK_SECONDS = [0.00025, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1]
/** Gauges whose names end as those of counters. */
const MISNAMED = [
  'nodejs_active_resources_total',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
]

export function createMetrics({ slots, queues, nowMs }: MetricsOptions): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const jobs = new Counter({
    name: 'millhand_jobs_total',
    help: 'Attempts at jobs that ended here, by how: completed, failed, timed-out, out-of-memory, killed, cancelled, handed-back …',
    labelNames: ['queue', 'task', 'outcome'],
    registers,
  })
  const cpu = new Counter({
    name: 'millhand_job_cpu_seconds_total',
    help: 'Processor time that jobs used, user and system',
    labelNames: ['queue', 'task'],
    registers,
  })
  const wait = new Histogram({
    name: 'millhand_job_wait_seconds',
    help: 'From enqueue to the first claim, a delay that was asked for included',
    labelNames: ['queue'],
    buckets: WAIT_AND_DURATION_SECONDS,
    registers,
  })
  const duration = new Histogram({
    name: 'millhand_job_duration_seconds',
    help: 'How long attempts at jobs took',
    labelNames: ['queue', 'task'],
    buckets: WAIT_AND_DURATION_SECONDS,
    registers,
  })
  const refusals = new Counter({
    name: 'millhand_refused_settlements_total',
    help: 'Attempts that Redis refused to settle, because it had given their jobs to other workers or lost them: the log says which',
    labelNames: ['queue'],
    registers,
  })
  const forks = new Histogram({
    name: 'millhand_fork_seconds',
    help: 'How long the system call took that made a child of the zygote',
    buckets: FORK_SECONDS,
    registers,
  })
  // A series that begins with its first refusal would hide that one from rate().
  for (const queue of queues.values()) refusals.inc({ queue }, 0)
  gauge(registry, 'millhand_worker_slots', 'Jobs that this worker runs at once', () => slots)
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  const queueOf = (queue: string) => queues.get(queue) ?? queue
  const taskOf = boundedNames()

  return {
    claimed: (queue, enqueuedAtMs) =>
      wait.observe({ queue: queueOf(queue) }, Math.max(0, nowMs() - enqueuedAtMs) / 1000),
    ended(name, taskName, { kind, facts }) {
      const [queue, task] = [queueOf(name), taskOf(taskName)]
      jobs.inc({ queue, task, outcome: kind === 'succeeded' ? 'completed' : kind })
      if (kind === 'could-not-start') return
      duration.observe({ queue, task }, facts.durationMs / 1000)
      if (facts.cpuUserMs !== undefined)
        cpu.inc({ queue, task }, (facts.cpuUserMs + (facts.cpuSystemMs ?? 0)) / 1000)
    },
    refused: (queue) => refusals.inc({ queue: queueOf(queue) }),
    forked: (micros) => forks.observe(micros / 1e6),
    watch: (parts) => watchParts(registry, parts),
    page: async () => ({ status: 200, type: registry.contentType, text: await registry.metrics() }),
  }
}

function watchParts(registry: Registry, { busySlots, isRedisUp, zygoteRssBytes }: WatchedParts): void {
  gauge(registry, 'millhand_worker_busy_slots', 'Jobs that run here now', busySlots)
  gauge(registry, 'millhand_worker_redis_up', '1 while Redis answers for every queue', () =>
    isRedisUp() ? 1 : 0,
  )
  if (zygoteRssBytes() !== undefined)
    gauge(
      registry,
      'millhand_zygote_rss_bytes',
      'Memory of the process that children are forked from',
      zygoteRssBytes,
    )
}

/** An unknown value is left out: it is not zero. */
function gauge(registry: Registry, name: string, help: string, read: () => number | undefined): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const value = read()
      if (value === undefined) this.remove()
      else this.set(value)
    },
  })
}

/**
 * A producer may send any task name: only so many get a label of their own, because each is a time series.
 */
function boundedNames(): (name: string) => string {
  const known = new Set<string>()
  return (name) => {
    if (known.has(name)) return name
    if (known.size >= MOST_TASKS) return OTHER_TASKS
    known.add(name)
    return name
  }
}
