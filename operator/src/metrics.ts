// The metrics of the operator: gauges of what was seen last, counters, and the names that dashboards for
// other operators know. A scrape makes no calls.

import type { ObservedPool } from '@millhand/control/decide/observed'
import type { PoolPlan } from '@millhand/control/decide/pool'
import { lateMs, type ObservedSchedule } from '@millhand/control/decide/schedule'
import type { ControllerObserver } from '@millhand/control/engine/controller'
import type { SeenQueue } from '@millhand/control/redis/seen-queue'
import type { Servers } from '@millhand/control/redis/servers'
import { FLOW_OUTCOMES } from 'millhand/queue'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Answered } from './kube/rest.ts'

export interface Metrics {
  controllers: ControllerObserver
  onRequest: (answered: Answered) => void
  onPlanned: (observed: ObservedPool, plan: PoolPlan) => void
  /** Drops the series of a pool that is gone. */
  forgetPool: (namespace: string, name: string) => void
  onDecision: (pool: ObservedPool['pool'], reason: string) => void
  onSchedule: (observed: ObservedSchedule) => void
  forgetSchedule: (namespace: string, name: string) => void
  onStatusRefused: (kind: string) => void
  setLeading: (isLeading: boolean) => void
  read: () => Promise<{ contentType: string; text: string }>
}

/** Gauges whose names end as those of counters. */
const MISNAMED = [
  'nodejs_active_resources_total',
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
]
const SECONDS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

export interface MetricsOptions {
  leaseName: string
  /** The namespaces of the setting. */
  namespaces: () => readonly { namespace: string; isReadable: boolean }[]
  servers: () => Servers | undefined
  /** The name of a queue's TaskQueue; undefined when it is gone. */
  taskQueueOf: (seen: SeenQueue) => string | undefined
  wallMs: () => number
}

export function createMetrics({ leaseName, namespaces, wallMs, ...queues }: MetricsOptions): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  for (const name of MISNAMED) registry.removeSingleMetric(name)
  observeQueues(registers, queues)
  const pools = poolMetrics(registers)
  const schedules = scheduleMetrics(registers, wallMs)
  const leading = new Gauge({
    name: 'leader_election_master_status',
    help: '1 while this operator leads.',
    labelNames: ['name'],
    registers,
  })
  leading.set({ name: leaseName }, 0)
  new Gauge({
    name: 'millhand_watched_namespace_readable',
    help: '1 while the API server lets the operator read a namespace that it was told to watch.',
    labelNames: ['namespace'],
    registers,
    collect() {
      this.reset()
      for (const { namespace, isReadable } of namespaces()) this.set({ namespace }, Number(isReadable))
    },
  })
  const refused = new Counter({
    name: 'millhand_status_refused_total',
    help: 'Statuses that the API server refused: people see an older one, and nothing else is held up.',
    labelNames: ['kind'],
    registers,
  })
  return {
    controllers: controllerMetrics(registers),
    onRequest: requestMetrics(registers),
    ...pools,
    ...schedules,
    onStatusRefused: (kind) => refused.inc({ kind }),
    setLeading: (isLeading) => {
      leading.set({ name: leaseName }, Number(isLeading))
      // Only the leader may report what only the leader sees.
      if (isLeading) return
      pools.forgetAll()
      schedules.forgetSchedules()
    },
    read: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  }
}

function observeQueues(
  registers: Registry[],
  { servers, taskQueueOf }: Pick<MetricsOptions, 'servers' | 'taskQueueOf'>,
): void {
  const labelNames = ['namespace', 'queue'] as const
  const known = () =>
    (servers()?.queues ?? []).flatMap((seen) => {
      const queue = taskQueueOf(seen)
      const { namespace, isReachable } = seen
      return queue === undefined
        ? []
        : [{ labels: { namespace, queue }, depth: seen.lastView?.depth, isReachable }]
    })
  /** A value that is not a number would turn the whole scrape into an error. */
  const sound = <T extends object>(labels: T, value: number, put: (labels: T, value: number) => void) => {
    if (typeof value === 'number' && Number.isFinite(value) && value >= 0) put(labels, value)
  }
  new Gauge({
    name: 'millhand_queue_jobs',
    help: 'Jobs in a queue, by state: ready, blocked (a part of ready), busy, delayed, buried.',
    labelNames: [...labelNames, 'state'] as const,
    registers,
    collect() {
      this.reset()
      for (const { labels, depth } of known()) {
        if (!depth) continue
        const { ready, blocked, busy, delayed, buried } = depth
        const states = { ready, blocked, busy, delayed, buried }
        for (const [state, count] of Object.entries(states))
          sound({ ...labels, state }, count, (where, value) => this.set(where, value))
      }
    },
  })
  new Gauge({
    name: 'millhand_queue_oldest_job_age_seconds',
    help: 'How long the oldest ready job is ready: since it was enqueued, due, or put back; 0 when there is none.',
    labelNames,
    registers,
    collect() {
      this.reset()
      for (const { labels, depth } of known())
        if (depth) sound(labels, (depth.oldestReadyMs ?? 0) / 1000, (where, value) => this.set(where, value))
    },
  })
  new Gauge({
    name: 'millhand_queue_oldest_blocked_job_age_seconds',
    help: 'How long the oldest job is ready that a limit of its key holds back; 0 when there is none.',
    labelNames,
    registers,
    collect() {
      this.reset()
      for (const { labels, depth } of known())
        if (depth)
          sound(labels, (depth.oldestBlockedMs ?? 0) / 1000, (where, value) => this.set(where, value))
    },
  })
  new Counter({
    name: 'millhand_queue_vanished_enqueues_total',
    help: 'Enqueues that Redis is known to have acknowledged and lost, at least.',
    labelNames,
    registers,
    collect() {
      this.reset()
      for (const { labels, depth } of known())
        if (depth) sound(labels, depth.counts.vanished, (where, value) => this.inc(where, value))
    },
  })
  new Counter({
    name: 'millhand_queue_expired_jobs_total',
    help: 'Jobs that had not started by their time, and never run.',
    labelNames,
    registers,
    collect() {
      this.reset()
      for (const { labels, depth } of known())
        if (depth) sound(labels, depth.counts.expired, (where, value) => this.inc(where, value))
    },
  })
  new Gauge({
    name: 'millhand_flows_running',
    help: 'Flows and batches that have not ended, by their home.',
    labelNames,
    registers,
    collect() {
      this.reset()
      for (const { labels, depth } of known())
        if (depth?.flows) sound(labels, depth.flows.running, (where, value) => this.set(where, value))
    },
  })
  new Counter({
    name: 'millhand_flows_started_total',
    help: 'Runs of flows and batches that began; a retry is one more.',
    labelNames,
    registers,
    collect() {
      this.reset()
      for (const { labels, depth } of known())
        if (depth?.flows) sound(labels, depth.flows.started, (where, value) => this.inc(where, value))
    },
  })
  new Counter({
    name: 'millhand_flows_ended_total',
    help: 'Runs of flows and batches that ended, by outcome: completed, failed, cancelled.',
    labelNames: [...labelNames, 'outcome'] as const,
    registers,
    collect() {
      this.reset()
      for (const { labels, depth } of known())
        for (const outcome of depth?.flows ? FLOW_OUTCOMES : [])
          sound({ ...labels, outcome }, depth?.flows?.[outcome] ?? 0, (where, value) =>
            this.inc(where, value),
          )
    },
  })
  new Gauge({
    name: 'millhand_redis_up',
    help: '1 while the Redis of a queue answers the operator.',
    labelNames,
    registers,
    collect() {
      this.reset()
      for (const { labels, isReachable } of known()) this.set(labels, Number(isReachable))
    },
  })
}

function poolMetrics(registers: Registry[]) {
  const labelNames = ['namespace', 'workerpool'] as const
  const kinds = ['wanted', 'current', 'ready', 'draining', 'terminating'] as const
  const replicas = new Gauge({
    name: 'millhand_workerpool_replicas',
    help: 'Pods of a WorkerPool: wanted, current, ready, draining, terminating.',
    labelNames: [...labelNames, 'kind'] as const,
    registers,
  })
  const limited = new Gauge({
    name: 'millhand_workerpool_scaling_limited',
    help: '1 while maxReplicas keeps a WorkerPool from having the pods that its jobs need.',
    labelNames,
    registers,
  })
  const healthy = new Gauge({
    name: 'millhand_workerpool_ready',
    help: '1 while the condition Ready of a WorkerPool is True.',
    labelNames,
    registers,
  })
  const decisions = new Counter({
    name: 'millhand_scale_decisions_total',
    help: 'Changes of the number of pods that were written, by reason.',
    labelNames: [...labelNames, 'reason'] as const,
    registers,
  })
  const reasons = new Set<string>()
  return {
    onPlanned: ({ pool }: ObservedPool, { decision, currentStatus }: PoolPlan) => {
      const labels = { namespace: pool.metadata.namespace, workerpool: pool.metadata.name }
      replicas.set({ ...labels, kind: 'wanted' }, currentStatus.desiredReplicas)
      replicas.set({ ...labels, kind: 'current' }, currentStatus.replicas)
      replicas.set({ ...labels, kind: 'ready' }, currentStatus.readyReplicas)
      replicas.set({ ...labels, kind: 'draining' }, currentStatus.drainingReplicas)
      replicas.set({ ...labels, kind: 'terminating' }, currentStatus.terminatingReplicas)
      limited.set(labels, Number(decision.reason === 'MaxReplicas'))
      const ready = currentStatus.conditions.find(({ type }) => type === 'Ready')
      healthy.set(labels, Number(ready?.status === 'True'))
    },
    onDecision: (pool: ObservedPool['pool'], reason: string) => {
      reasons.add(reason)
      decisions.inc({ namespace: pool.metadata.namespace, workerpool: pool.metadata.name, reason })
    },
    forgetPool: (namespace: string, name: string) => {
      const labels = { namespace, workerpool: name }
      for (const kind of kinds) replicas.remove({ ...labels, kind })
      for (const reason of reasons) decisions.remove({ ...labels, reason })
      limited.remove(labels)
      healthy.remove(labels)
    },
    forgetAll: () => {
      for (const metric of [replicas, limited, healthy, decisions]) metric.reset()
    },
  }
}

/** Schedules have names of users: those above this number have no metrics. */
const MOST_SCHEDULES = 1_000

function scheduleMetrics(registers: Registry[], wallMs: () => number) {
  const labelNames = ['namespace', 'queue', 'schedule'] as const
  const seen = new Map<string, ObservedSchedule>()
  const labelsOf = ({ schedule: { metadata, queue } }: ObservedSchedule) => ({
    namespace: metadata.namespace,
    queue,
    schedule: metadata.name,
  })
  const gauge = (name: string, help: string, valueIn: (observed: ObservedSchedule) => number | undefined) =>
    new Gauge({
      ...{ name, help, labelNames, registers },
      collect() {
        this.reset()
        for (const observed of seen.values()) {
          const value = valueIn(observed)
          if (value !== undefined) this.set(labelsOf(observed), value)
        }
      },
    })
  const stateOf = ({ found }: ObservedSchedule) => (found.kind === 'open' ? found.state : undefined)
  gauge('millhand_schedule_ready', '1 while the queue of a Schedule has it.', (observed) =>
    Number(stateOf(observed) !== undefined),
  )
  gauge('millhand_schedule_next_due_timestamp_seconds', 'When a Schedule is due next.', (observed) =>
    inSeconds(stateOf(observed)?.nextAtMs),
  )
  gauge('millhand_schedule_last_fired_timestamp_seconds', 'When the last job was enqueued.', (observed) =>
    inSeconds(stateOf(observed)?.last?.firedAtMs),
  )
  gauge('millhand_schedule_late_seconds', 'How long a job is due that is not enqueued.', (observed) => {
    const state = stateOf(observed)
    return state && inSeconds(lateMs(state, wallMs()))
  })
  new Counter({
    name: 'millhand_schedule_runs_total',
    help: 'Times of a Schedule, by what became of them: enqueued, or skipped because the last job had not ended.',
    labelNames: [...labelNames, 'outcome'] as const,
    registers,
    collect() {
      this.reset()
      for (const observed of seen.values()) {
        const state = stateOf(observed)
        if (!state) continue
        this.inc({ ...labelsOf(observed), outcome: 'enqueued' }, state.fired)
        this.inc({ ...labelsOf(observed), outcome: 'skipped' }, state.skipped)
      }
    },
  })
  return {
    onSchedule: (observed: ObservedSchedule) => {
      const { namespace, name } = observed.schedule.metadata
      const key = `${namespace}/${name}`
      if (seen.size < MOST_SCHEDULES || seen.has(key)) seen.set(key, observed)
    },
    forgetSchedule: (namespace: string, name: string) => void seen.delete(`${namespace}/${name}`),
    forgetSchedules: () => seen.clear(),
  }
}

const inSeconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000)

/** The names of controller-runtime and of client-go's work queue. */
function controllerMetrics(registers: Registry[]): ControllerObserver {
  const total = new Counter({
    name: 'controller_runtime_reconcile_total',
    help: 'Reconciles, by controller and result.',
    labelNames: ['controller', 'result'] as const,
    registers,
  })
  const errors = new Counter({
    name: 'controller_runtime_reconcile_errors_total',
    help: 'Reconciles that failed, by controller.',
    labelNames: ['controller'] as const,
    registers,
  })
  const time = new Histogram({
    name: 'controller_runtime_reconcile_time_seconds',
    help: 'How long a reconcile takes, by controller.',
    labelNames: ['controller'] as const,
    buckets: SECONDS,
    registers,
  })
  const depth = new Gauge({
    name: 'workqueue_depth',
    help: 'Keys that wait to be reconciled.',
    labelNames: ['name'] as const,
    registers,
  })
  const adds = new Counter({
    name: 'workqueue_adds_total',
    help: 'Keys that were put on a work queue.',
    labelNames: ['name'] as const,
    registers,
  })
  const retries = new Counter({
    name: 'workqueue_retries_total',
    help: 'Keys that were put back after a failure.',
    labelNames: ['name'] as const,
    registers,
  })
  const waits = new Histogram({
    name: 'workqueue_queue_duration_seconds',
    help: 'How long a key waits before it is reconciled.',
    labelNames: ['name'] as const,
    buckets: SECONDS,
    registers,
  })
  return {
    onReconciled: ({ controller, result, durationMs }) => {
      total.inc({ controller, result: NAMES_OF_RESULTS[result] })
      if (result === 'error') errors.inc({ controller })
      time.observe({ controller }, durationMs / 1000)
    },
    onAdded: ({ controller, depth: count }) => {
      adds.inc({ name: controller })
      depth.set({ name: controller }, count)
    },
    onTaken: ({ controller, depth: count, waitedMs }) => {
      depth.set({ name: controller }, count)
      waits.observe({ name: controller }, waitedMs / 1000)
    },
    onRetried: ({ controller }) => retries.inc({ name: controller }),
  }
}

const NAMES_OF_RESULTS = {
  success: 'success',
  again: 'requeue_after',
  error: 'error',
} as const

function requestMetrics(registers: Registry[]): Metrics['onRequest'] {
  const requests = new Counter({
    name: 'rest_client_requests_total',
    help: 'Requests to the API server, by method and status code.',
    labelNames: ['code', 'method'] as const,
    registers,
  })
  const time = new Histogram({
    name: 'rest_client_request_duration_seconds',
    help: 'How long requests to the API server take, watches left out.',
    labelNames: ['verb'] as const,
    buckets: SECONDS,
    registers,
  })
  return ({ method, code, verb, durationMs }) => {
    requests.inc({ code: String(code), method })
    if (verb !== 'watch') time.observe({ verb }, durationMs / 1000)
  }
}
