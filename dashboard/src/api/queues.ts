// Queues, pools and workers, as they are now.

import { flag, list, named, number, object, oneOf, optional, type TypeOf, whole } from '../schema.ts'
import { MOST_ROWS, time, words } from './bounds.ts'

export const Condition = named(
  'Condition',
  object('A condition of a resource, as kubectl shows it', {
    type: words('Ready, RedisReachable, Stalled …'),
    status: oneOf('Whether it holds', ['True', 'False', 'Unknown']),
    reason: words('One word; docs/conditions.md explains each'),
    message: words('A sentence', 33_000),
    sinceMs: optional(time('Since when it has this status')),
  }),
)
export type Condition = TypeOf<typeof Condition>

const PerSecond = object('Measured over the last seconds in which somebody looked', {
  enqueued: number('Jobs enqueued a second'),
  completed: number('Jobs completed a second'),
  failed: number('Jobs buried a second'),
})

export const QueueNumbers = named(
  'QueueNumbers',
  object('The numbers of a queue at one moment', {
    ready: whole('Jobs that could run now, with delayed ones that are due'),
    blocked: whole('The part of the ready jobs that a limit of their key holds back'),
    due: whole('The part of the ready jobs that was delayed and is due'),
    delayed: whole('Jobs that are not due'),
    busy: whole('Jobs that run'),
    buried: whole('Jobs that have no tries left, kept for a person to look at'),
    oldestReadyMs: optional(whole('For how long the oldest ready job waits; ms')),
    nextMs: optional(whole('When the next delayed job is due; ms from now')),
    isPaused: flag('Whether a person has paused it'),
    isSuspended: flag('Whether its TaskQueue suspends it'),
    restsMs: optional(whole('For how long no job starts, because a task asked for a rest (RetryAfter); ms')),
    maxBusy: optional(whole('The most jobs that may run at once')),
    enqueued: whole('Jobs enqueued since the queue exists'),
    completed: whole('Jobs completed since the queue exists'),
    retried: whole('Attempts that failed and were tried again, since the queue exists'),
    failed: whole('Jobs buried since the queue exists'),
    cancelled: whole('Jobs cancelled since the queue exists'),
    expired: whole('Jobs that had not started by their time, since the queue exists'),
    vanished: whole('Enqueues that Redis is known to have lost, since the queue exists'),
    perSecond: optional(PerSecond),
    workers: whole('Workers that live'),
    draining: whole('The part of the workers that takes no more jobs'),
    slots: whole('Slots of the workers that take jobs'),
  }),
)
export type QueueNumbers = TypeOf<typeof QueueNumbers>

/** Why the numbers of a queue cannot be read. */
export const Unread = named(
  'Unread',
  object('Why a queue cannot be read now', {
    reason: words('One word; docs/conditions.md explains each'),
    message: words('A sentence'),
    sinceMs: time('Since when'),
  }),
)

export const QueueNow = named(
  'QueueNow',
  object('A TaskQueue and its numbers', {
    namespace: words('Its namespace'),
    name: words('The name of the TaskQueue'),
    queueName: words('Its name in Redis'),
    atMs: optional(time('When the numbers were read; absent where they never were')),
    numbers: optional(QueueNumbers),
    unread: optional(Unread),
    conditions: list('The conditions of the TaskQueue', Condition),
    pools: list('The names of the WorkerPools that serve it', words('A WorkerPool')),
  }),
)
export type QueueNow = TypeOf<typeof QueueNow>

export const PoolNow = named(
  'PoolNow',
  object('A WorkerPool and its status', {
    namespace: words('Its namespace'),
    name: words('Its name'),
    queues: list(
      'The queues that it serves',
      object('One of them', { name: words('The name of the TaskQueue'), weight: whole('Its share') }),
    ),
    slots: whole('Jobs at once in one worker'),
    isolation: oneOf('How jobs are kept apart', ['Fork', 'Spawn', 'Reuse']),
    scaling: object('How many workers it may have', {
      mode: oneOf('Who decides', ['Automatic', 'Manual']),
      minReplicas: whole('The fewest'),
      maxReplicas: whole('The most'),
      target: oneOf('What it is scaled by', ['Concurrency', 'Latency']),
    }),
    status: optional(
      object('As it was last reported', {
        replicas: whole('Workers that run'),
        readyReplicas: whole('Workers that are ready'),
        desiredReplicas: whole('Workers that are wanted'),
        updatedReplicas: whole('Workers with the newest template'),
        terminatingReplicas: whole('Workers that end'),
        drainingReplicas: whole('Workers that finish their jobs and end'),
        busySlots: whole('Slots with a job'),
        slots: whole('Slots of the ready workers'),
        reason: words('Why so many are wanted: one word'),
        message: words('Why so many are wanted: a sentence', 33_000),
        lastScaledAtMs: optional(time('When the number last changed')),
      }),
    ),
    conditions: list('The conditions of the WorkerPool', Condition),
  }),
)
export type PoolNow = TypeOf<typeof PoolNow>

export const Problem = named(
  'Problem',
  object('Something that a person should look at', {
    severity: oneOf('error: jobs do not run, or are lost; warning: they may not', ['error', 'warning']),
    code: words('One word'),
    text: words('A sentence that says what is wrong and what to do', 33_000),
    kind: oneOf('What it is about', ['TaskQueue', 'WorkerPool', 'Schedule']),
    namespace: words('Its namespace'),
    name: words('Its name'),
    queue: optional(words('The queue of a Schedule')),
  }),
)
export type Problem = TypeOf<typeof Problem>

export const Sums = named(
  'Sums',
  object('The numbers of all queues together; a worker counts once for each queue that it serves', {
    queues: whole('Of how many queues they are: the others are not read yet, or cannot be read'),
    atMs: optional(time('When the one was read whose numbers are the oldest')),
    ready: whole('Jobs that could run now'),
    blocked: whole('The part of the ready jobs that a limit of their key holds back'),
    delayed: whole('Jobs that are not due'),
    busy: whole('Jobs that run'),
    buried: whole('Jobs that have no tries left'),
    oldestReadyMs: optional(whole('For how long the oldest ready job of all waits; ms')),
    perSecond: optional(PerSecond),
    workers: whole('Workers that live'),
    slots: whole('Slots of the workers that take jobs'),
  }),
)
export type Sums = TypeOf<typeof Sums>

/** Of the queues behind the first ones, in a snapshot. */
export const MOST_WORST = 10

export const Snapshot = named(
  'Snapshot',
  object('All that the user may see, at one moment; also each message of `stream`', {
    atMs: time('When it was taken, by the clock of the server'),
    queues: list('The first by namespace and name; `queues` has pages of all', QueueNow, { max: MOST_ROWS }),
    pools: list('The first by namespace and name; `pools` has pages of all', PoolNow, { max: MOST_ROWS }),
    behind: list('Of the queues behind the first ones, those whose oldest job waits longest', QueueNow, {
      max: MOST_WORST,
    }),
    sums: Sums,
    totalQueues: whole('How many queues there are'),
    totalPools: whole('How many pools there are'),
    problems: list('The worst first', Problem),
  }),
)
export type Snapshot = TypeOf<typeof Snapshot>

export const QueueSettings = named(
  'QueueSettings',
  object('The rules of a queue, as its TaskQueue has them', {
    maxAttempts: whole('Tries of a job'),
    backoffMs: whole('The wait before the second try; ms'),
    maxBackoffMs: whole('The longest wait; ms'),
    maxCrashes: whole('Workers that may die with a job before it is buried'),
    timeoutMs: whole('How long one attempt may run; ms'),
    maxLength: whole('The most waiting jobs'),
    maxPayloadBytes: whole('The largest payload'),
    maxBusy: optional(whole('The most jobs that may run at once')),
    completedMaxAgeMs: whole('How long results are kept; ms'),
    completedMaxCount: whole('How many results are kept'),
    buriedMaxAgeMs: whole('How long buried jobs are kept; ms'),
    buriedMaxCount: whole('How many buried jobs are kept'),
    isSuspended: flag('Whether the TaskQueue suspends it'),
  }),
)

const Rest = object('A rest that a task asked for (RetryAfter)', {
  key: optional(words('The key whose jobs rest; absent where the whole queue does')),
  untilMs: time('Until when no job of it starts'),
})

export const Queue = named(
  'Queue',
  object('A queue with its rules and its pools', {
    queue: QueueNow,
    settings: QueueSettings,
    pools: list('The WorkerPools that serve it', PoolNow),
    rests: optional(
      object('What rests now, but for jobs that rest alone; absent while the queue cannot be read', {
        rests: list('The longest first', Rest, { max: MOST_ROWS }),
        total: whole('How many there are'),
      }),
    ),
    problems: list('Of the queue, its pools and its Schedules, the worst first', Problem),
  }),
)
export type Queue = TypeOf<typeof Queue>

export const Queues = named(
  'Queues',
  object('A page of the queues that the user may see', {
    queues: list('By namespace and name', QueueNow, { max: MOST_ROWS }),
    total: whole('How many there are'),
    cursor: optional(words('Give it to get the next ones')),
  }),
)
export type Queues = TypeOf<typeof Queues>

export const Pools = named(
  'Pools',
  object('A page of the pools that the user may see', {
    pools: list('By namespace and name', PoolNow, { max: MOST_ROWS }),
    total: whole('How many there are'),
    cursor: optional(words('Give it to get the next ones')),
  }),
)
export type Pools = TypeOf<typeof Pools>

export const PauseState = named(
  'PauseState',
  object('What became of a pause', { isPaused: flag('Whether the queue is paused now') }),
)
export type PauseState = TypeOf<typeof PauseState>

export const RestEnded = named(
  'RestEnded',
  object('What became of a rest', { wasResting: flag('Whether there was one, which has ended') }),
)
export type RestEnded = TypeOf<typeof RestEnded>

export const Worker = named(
  'Worker',
  object('A worker process, as it registered itself', {
    name: words('Its name'),
    pod: words('Its pod'),
    podUid: words('The UID of its pod'),
    node: words('Its node'),
    pool: optional(words('Its WorkerPool')),
    version: words('Its version of Millhand'),
    isolation: words('How it keeps jobs apart'),
    isolationNote: optional(words('Why it is another isolation than the wanted one')),
    slots: whole('Jobs at once'),
    busy: whole('Jobs that it runs'),
    startedAtMs: time('When it started'),
    isAlive: flag('Whether its heartbeat has not run out'),
    isDraining: flag('Whether it takes no more jobs'),
  }),
)
export type Worker = TypeOf<typeof Worker>

export const Workers = named(
  'Workers',
  object('The workers of a queue', {
    workers: list('By name', Worker, { max: MOST_ROWS }),
    total: whole('How many there are'),
    cursor: optional(words('Give it to get the next ones')),
  }),
)
export type Workers = TypeOf<typeof Workers>
