// Every request and every answer of `/api/v1`: JSON, times in ms UTC. The server checks requests by it and makes the OpenAPI
// document from it; the pages have their types from it. Nothing of Node.
import {
  anything,
  flag,
  list,
  named,
  number,
  object,
  oneOf,
  optional,
  record,
  type TypeOf,
  text,
  whole,
} from './schema.ts'

/** Where the API begins, below the base path of the server. */
export const API = '/api/v1'
/** Rows of one answer. */
export const MOST_ROWS = 200
/** Of a payload or a result, in an answer. */
export const MOST_TEXT_BYTES = 65_536

const time = (what: string) => whole(`${what}; ms UTC`)
const words = (what: string, max = 4_096) => text(what, { max })

export const JOB_STATES = ['ready', 'delayed', 'held', 'completed', 'cancelled', 'buried'] as const
/** Those that have a list. */
export const LISTED_STATES = ['ready', 'delayed', 'held', 'completed', 'buried'] as const
export const PRIORITIES = ['urgent', 'high', 'normal', 'low'] as const

// Who asks, and what the server is.

export const Me = named(
  'Me',
  object('Who asks, and what is allowed', {
    user: words('The name of the user'),
    groups: list('The groups of the user', words('A group')),
    mode: words('How the server knows who asks: local, kubernetes, proxy or token'),
    isReadOnly: flag('Whether the server refuses every change, whoever asks'),
    can: record(
      'What is allowed, by namespace: resource and verb, like "jobs retry"',
      list('What is allowed in this namespace', words('Resource and verb')),
    ),
  }),
)
export type Me = TypeOf<typeof Me>

export const Config = named(
  'Config',
  object('What pages need to know of the server', {
    version: words('The version of Millhand'),
    plant: oneOf('Where the queues are: in a cluster, or in `millhand up`', ['kubernetes', 'up']),
    isReadOnly: flag('Whether the server refuses every change, whoever asks'),
    nowMs: time('The clock of the server'),
    mostRows: whole('Rows of one answer'),
  }),
)
export type Config = TypeOf<typeof Config>

// Queues and pools, as they are now.

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

export const QueueNumbers = named(
  'QueueNumbers',
  object('The numbers of a queue at one moment', {
    ready: whole('Jobs that could run now, with delayed ones that are due'),
    due: whole('The part of the ready jobs that was delayed and is due'),
    delayed: whole('Jobs that are not due'),
    busy: whole('Jobs that run'),
    buried: whole('Jobs that have no tries left, kept for a person to look at'),
    oldestReadyMs: optional(whole('For how long the oldest ready job waits; ms')),
    nextMs: optional(whole('When the next delayed job is due; ms from now')),
    isPaused: flag('Whether a person has paused it'),
    isSuspended: flag('Whether its TaskQueue suspends it'),
    maxBusy: optional(whole('The most jobs that may run at once')),
    enqueued: whole('Jobs enqueued since the queue exists'),
    completed: whole('Jobs completed since the queue exists'),
    retried: whole('Attempts that failed and were tried again, since the queue exists'),
    failed: whole('Jobs buried since the queue exists'),
    cancelled: whole('Jobs cancelled since the queue exists'),
    vanished: whole('Enqueues that Redis is known to have lost, since the queue exists'),
    perSecond: optional(
      object('Measured over the last seconds in which somebody looked', {
        enqueued: number('Jobs enqueued a second'),
        completed: number('Jobs completed a second'),
        failed: number('Jobs buried a second'),
      }),
    ),
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
    kind: oneOf('What it is about', ['TaskQueue', 'WorkerPool']),
    namespace: words('Its namespace'),
    name: words('Its name'),
  }),
)
export type Problem = TypeOf<typeof Problem>

export const Snapshot = named(
  'Snapshot',
  object('All that the user may see, at one moment; also each message of `stream`', {
    atMs: time('When it was taken, by the clock of the server'),
    queues: list('By namespace and name', QueueNow),
    pools: list('By namespace and name', PoolNow),
    problems: list('The worst first', Problem),
    isCut: flag('Whether there are more queues or pools than one answer holds'),
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

export const Queue = named(
  'Queue',
  object('A queue with its rules and its pools', {
    queue: QueueNow,
    settings: QueueSettings,
    pools: list('The WorkerPools that serve it', PoolNow),
    problems: list('Of the queue and its pools, the worst first', Problem),
  }),
)
export type Queue = TypeOf<typeof Queue>

export const Queues = named(
  'Queues',
  object('The queues that the user may see', {
    queues: list('By namespace and name', QueueNow),
    isCut: flag('Whether there are more than one answer holds'),
  }),
)
export type Queues = TypeOf<typeof Queues>

export const Pools = named(
  'Pools',
  object('The pools that the user may see', {
    pools: list('By namespace and name', PoolNow),
    isCut: flag('Whether there are more than one answer holds'),
  }),
)
export type Pools = TypeOf<typeof Pools>

export const PauseState = named(
  'PauseState',
  object('What became of a pause', { isPaused: flag('Whether the queue is paused now') }),
)
export type PauseState = TypeOf<typeof PauseState>

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

// Jobs.

const jobId = text('The id of a job', { min: 1, max: 512 })

export const JobRow = named(
  'JobRow',
  object('A job in a list', {
    id: jobId,
    state: oneOf('Its state', JOB_STATES),
    task: words('The name of its task'),
    enqueuedAtMs: time('When it was enqueued'),
    lane: optional(words('Its priority, and its key where it has one: `normal` or `normal/acme`')),
    worker: optional(words('The worker that runs it')),
    dueAtMs: optional(time('When a delayed one is due')),
    buriedAtMs: optional(time('When it was buried')),
    endedAtMs: optional(time('When it completed or was cancelled')),
    why: optional(words('Why it failed the last time, in one line')),
  }),
)
export type JobRow = TypeOf<typeof JobRow>

export const JobsPage = named(
  'JobsPage',
  object('A page of jobs', {
    jobs: list('The newest first where the list has that order', JobRow, { max: MOST_ROWS }),
    cursor: optional(words('Give it to go on where this page ends')),
    scanned: whole('How many jobs were looked at for this page'),
    isDone: flag('Whether all jobs were looked at: there is no next page'),
    total: optional(whole('How many jobs match, where that is known')),
  }),
)
export type JobsPage = TypeOf<typeof JobsPage>

const facts = {
  durationMs: optional(number('How long it ran; ms')),
  cpuUserMs: optional(number('Processor time in user mode; ms')),
  cpuSystemMs: optional(number('Processor time in system mode; ms')),
  maxRssBytes: optional(number('The largest memory of its process')),
}

export const Attempt = named(
  'Attempt',
  object('An attempt that ended without success', {
    outcome: words('failed, timed-out, killed, exited, out-of-memory, output-limit, worker-lost …'),
    message: optional(words('A sentence of the worker')),
    error: optional(
      object('What the task threw', {
        name: words('The class of the error'),
        message: words('Its message', 20_000),
        code: optional(words('Its code')),
        facts: optional(words('Host, port, path and the like, unless the message has them')),
        causes: optional(list('Its causes, one line each', words('A cause'))),
        stack: optional(words('The stack, with the stacks of the causes', 20_000)),
      }),
    ),
    exitCode: optional(whole('The exit code of its process', { min: -(2 ** 31), max: 2 ** 32 })),
    signal: optional(words('The signal that ended its process')),
    output: optional(words('What it last wrote to stdout and stderr', 100_000)),
    worker: optional(words('The worker that ran it')),
    pod: optional(words('Its pod')),
    node: optional(words('Its node')),
    startedAtMs: optional(number('When it started; ms UTC')),
    endedAtMs: optional(number('When it ended; ms UTC')),
    ...facts,
  }),
)
export type Attempt = TypeOf<typeof Attempt>

export const JOB_VERBS = ['retry', 'cancel', 'delete'] as const

export const Job = named(
  'Job',
  object('All that is known of a job, without payload and result', {
    id: jobId,
    namespace: words('The namespace of its queue'),
    queue: words('The name of its TaskQueue'),
    state: oneOf('Its state', JOB_STATES),
    task: words('The name of its task'),
    lane: optional(words('Its priority, and its key where it has one: `normal` or `normal/acme`')),
    enqueuedAtMs: time('When it was enqueued'),
    dueAtMs: optional(time('When a delayed one is due')),
    buriedAtMs: optional(time('When it was buried')),
    endedAtMs: optional(time('When it completed or was cancelled')),
    attempts: whole('Attempts that ended, or the one that runs'),
    maxAttempts: whole('Attempts after which it is buried, as its queue says'),
    crashes: whole('Workers that died while they ran it'),
    timeoutMs: optional(whole('How long one attempt may run, where the job says it; ms')),
    worker: optional(words('The worker that runs it')),
    isCancelling: flag('Whether its worker was told to end it'),
    progress: optional(words('What it last reported: JSON text', MOST_TEXT_BYTES)),
    payloadBytes: optional(whole('The size of its payload, where that is kept')),
    resultBytes: optional(whole('The size of its result, where there is one')),
    output: optional(words('What a completed one wrote to stdout and stderr', MOST_TEXT_BYTES)),
    failures: list('The last five attempts that ended without success, oldest first', Attempt),
    ...facts,
    can: list('What can be done with it in this state', oneOf('A verb', JOB_VERBS)),
  }),
)
export type Job = TypeOf<typeof Job>

export const JsonText = named(
  'JsonText',
  object('JSON as the job has it, as text: numbers beyond 2^53 stay exact', {
    text: words('The JSON, or its beginning; empty for undefined', MOST_TEXT_BYTES),
    bytes: whole('The size of the whole'),
    isCut: flag('Whether it is longer than the text'),
    isRedacted: flag('Whether secrets were replaced'),
  }),
)
export type JsonText = TypeOf<typeof JsonText>

export const Result = named(
  'Result',
  object('How a job ended, or its state where it has not', {
    id: jobId,
    state: oneOf('Its state', JOB_STATES),
    result: optional(JsonText),
    why: optional(words('Why a buried one failed, in one line')),
  }),
)
export type Result = TypeOf<typeof Result>

export const Cause = named(
  'Cause',
  object('One reason why a job does not run', {
    code: words('One word'),
    text: words('A sentence', 33_000),
    sinceMs: optional(time('Since when')),
    untilMs: optional(time('Until when')),
    subject: optional(words('Who or what it is about')),
  }),
)
export const Why = named(
  'Why',
  object('Why a job does not run, or what it does', {
    id: jobId,
    state: oneOf('Its state', JOB_STATES),
    causes: list('The first cause first', Cause),
  }),
)
export type Why = TypeOf<typeof Why>

export const EnqueueRequest = named(
  'EnqueueRequest',
  object('One new job', {
    task: text('The name of the task', { min: 1, max: 100 }),
    input: optional(anything('Its input; absent for undefined')),
    id: optional(
      text('1 to 128 of A-Z a-z 0-9 . : _ -; a job with a known id is not enqueued again', {
        min: 1,
        max: 128,
      }),
    ),
    priority: optional(oneOf('Default: normal', PRIORITIES)),
    delayMs: optional(whole('It does not start before so long; ms', { max: 1e12 })),
    atMs: optional(whole('It does not start before this time; ms UTC', { max: 8.64e15 })),
    maxAttempts: optional(whole('Attempts that may fail before it is buried', { min: 1, max: 1e12 })),
    backoffMs: optional(whole('The wait before the second attempt; ms', { max: 1e12 })),
    maxBackoffMs: optional(whole('The longest wait between two attempts; ms', { max: 1e12 })),
    maxCrashes: optional(whole('Workers that may die with it before it is buried', { min: 1, max: 1e12 })),
    timeoutMs: optional(whole('How long one attempt may run; ms', { min: 1, max: 1e12 })),
  }),
)
export type EnqueueRequest = TypeOf<typeof EnqueueRequest>

export const Enqueued = named(
  'Enqueued',
  object('A job that is in Redis', {
    id: jobId,
    enqueued: oneOf('created, or the state of the job that had this id already', ['created', ...JOB_STATES]),
  }),
)
export type Enqueued = TypeOf<typeof Enqueued>

export const JobDone = named(
  'JobDone',
  object('What became of a job', {
    id: jobId,
    state: oneOf('cancelling: it runs, and its worker ends it', [...JOB_STATES, 'cancelling', 'deleted']),
  }),
)
export type JobDone = TypeOf<typeof JobDone>

// Errors.

export const ErrorAnswer = named(
  'ErrorAnswer',
  object('What every answer with a status of 400 or more has', {
    error: object('Why not', {
      code: words('One word, for programs'),
      message: words('A sentence that names the field, its value and the remedy', 33_000),
      state: optional(words('With 409: the state of the job now')),
      sinceMs: optional(time('With 503: since when Redis is away')),
    }),
  }),
)
export type ErrorAnswer = TypeOf<typeof ErrorAnswer>
