// Jobs: in lists, and each one with all that is known of it.

import {
  anything,
  flag,
  list,
  named,
  number,
  object,
  oneOf,
  optional,
  type TypeOf,
  text,
  whole,
} from '../schema.ts'
import { JOB_STATES, MOST_ROWS, MOST_TEXT_BYTES, PRIORITIES, time, words } from './bounds.ts'

const TAGS = { max: 5 } as const
const tags = list('Its tags, until it has ended', words('A tag'), TAGS)
const key = words('Its key, until it has ended')
const jobId = text('The id of a job', { min: 1, max: 512 })

const row = {
  id: jobId,
  state: oneOf('Its state', JOB_STATES),
  task: words('The name of its task'),
  enqueuedAtMs: time('When it was enqueued'),
  lane: optional(words('Its priority, and its key where it has one: `normal` or `normal/acme`')),
  key: optional(key),
  tags: optional(tags),
  worker: optional(words('The worker that runs it')),
  dueAtMs: optional(time('When a delayed one is due')),
  buriedAtMs: optional(time('When it was buried')),
  endedAtMs: optional(time('When it completed or was cancelled')),
  why: optional(words('Why it failed the last time, in one line')),
  attempts: whole('Attempts that ended, or the one that runs'),
  error: optional(words('The fingerprint of its last error')),
}
export const JobRow = named('JobRow', object('A job in a list', row))
export type JobRow = TypeOf<typeof JobRow>

export const JobsPage = named(
  'JobsPage',
  object('A page of jobs', {
    jobs: list('Where jobs wait the next first, else the newest first', JobRow, { max: MOST_ROWS }),
    cursor: optional(words('Give it to go on where this page ends')),
    scanned: whole('How many jobs were looked at for this page'),
    isDone: flag('Whether all jobs were looked at: there is no next page'),
    total: optional(whole('How many jobs match, on the first page where that is known')),
  }),
)
export type JobsPage = TypeOf<typeof JobsPage>

export const JobInQueue = named(
  'JobInQueue',
  object('A job in a list over queues', {
    ...row,
    namespace: words('The namespace of its queue'),
    queue: words('The name of its TaskQueue'),
  }),
)
export type JobInQueue = TypeOf<typeof JobInQueue>

export const AllJobsPage = named(
  'AllJobsPage',
  object('A page of the jobs of all queues', {
    jobs: list('Queue after queue, by name; in each as a page of that queue', JobInQueue, { max: MOST_ROWS }),
    cursor: optional(words('Give it to go on where this page ends', 8_400)),
    scanned: whole('How many jobs were looked at for this page'),
    isDone: flag('Whether all jobs were looked at: there is no next page'),
    unread: list('Queues that could not be read', words('namespace/name'), { max: MOST_ROWS }),
  }),
)
export type AllJobsPage = TypeOf<typeof AllJobsPage>

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
    group: optional(words('The error group that it counts for')),
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
    tags: optional(tags),
    enqueuedAtMs: time('When it was enqueued'),
    dueAtMs: optional(time('When a delayed one is due')),
    escalatedTo: optional(words('The queue where it goes on, because an attempt ran out of memory')),
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
    flow: optional(
      object('The flow or the batch that it belongs to', {
        id: words('Its id'),
        job: optional(words('The name of the job in the flow; absent of a batch')),
        queue: optional(
          words(
            'The TaskQueue that is its home, as `namespace/name`; absent where none has its name in Redis',
          ),
        ),
      }),
    ),
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

export const OutputLine = named(
  'OutputLine',
  object('A line that a running job wrote', {
    attempt: whole('Which attempt wrote it'),
    stream: oneOf('Where it wrote it', ['stdout', 'stderr']),
    line: words('The line, without what ends it; secrets are replaced'),
    atMs: number('When, by the clock of its worker; ms UTC'),
  }),
)
export type OutputLine = TypeOf<typeof OutputLine>
export const LinesDropped = named(
  'LinesDropped',
  object('Too many lines came at once', { lines: whole('How many were left out here') }),
)
export type LinesDropped = TypeOf<typeof LinesDropped>
export const StateNow = named(
  'StateNow',
  object('The job has another state', { state: oneOf('Its state', JOB_STATES) }),
)
export type StateNow = TypeOf<typeof StateNow>

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
    state: oneOf('Its state; waiting and skipped: of a job in a flow that is not enqueued', [
      ...JOB_STATES,
      ...(['waiting', 'skipped'] as const),
    ]),
    causes: list('The first cause first', Cause),
  }),
)
export type Why = TypeOf<typeof Why>

const Unique = object('It is enqueued only where no other job of the queue has the same unique key', {
  key: text('1 to 128 of A-Z a-z 0-9 . : _ -', { min: 1, max: 128 }),
  while: optional(oneOf('How long it has the key; default: unfinished', ['waiting', 'unfinished'])),
  forMs: optional(
    whole('Instead of while: it has the key for so long from its enqueue; ms', { min: 1, max: 1e12 }),
  ),
  onDuplicate: optional(
    oneOf('What becomes of it where another job has the key; default: keep', ['keep', 'replace', 'runAgain']),
  ),
})

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
    key: optional(
      text('What it has in common with others, which limits are for: a tenant, an account', {
        min: 1,
        max: 128,
      }),
    ),
    unique: optional(Unique),
    tags: optional(
      list(
        'Names by which people find it',
        text('1 to 64 of A-Z a-z 0-9 : . _ - @ /', { min: 1, max: 64 }),
        TAGS,
      ),
    ),
    delayMs: optional(whole('It does not start before so long; ms', { max: 1e12 })),
    atMs: optional(whole('It does not start before this time; ms UTC', { max: 8.64e15 })),
    expiresInMs: optional(
      whole('It ends as expired where it has not started so long after it was due; ms', {
        min: 1,
        max: 1e12,
      }),
    ),
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
    enqueued: oneOf(
      'created, or the state of the job that had this id already; where another job has the unique key, its id is told: duplicate (nothing was enqueued), replaced (it waits, and has the new input), runs-again (it runs, and another one follows it)',
      ['created', 'duplicate', 'replaced', 'runs-again', ...JOB_STATES],
    ),
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
