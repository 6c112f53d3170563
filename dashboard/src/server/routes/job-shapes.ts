// Jobs as Redis has them, in the shapes of the API: bounded, and redacted. Pure.
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import type { AttemptRecord, JobDetails, JobSummary } from 'millhand/queue'
import type { Attempt, Job, JobRow, JsonText } from '../../api.ts'
import { MOST_TEXT_BYTES } from '../../api.ts'
import type { Redactor } from '../access/redact.ts'

/** What is beyond it is not looked through. */
const MOST_REDACTED = MOST_TEXT_BYTES + 4_096
const MOST_MESSAGE = 4_096
const MOST_OUTPUT = 16_384
const MOST_STACK = 8_192
const MOST_NAME = 1_000

export function rowOf({ id, state, task, enqueuedAtMs, why, ...job }: JobSummary, redact: Redactor): JobRow {
  const { lane, key, tags, worker, dueAtMs, buriedAtMs, endedAtMs, attempts, error } = job
  return {
    id: shortened(id, 512),
    state: state as JobRow['state'],
    task,
    enqueuedAtMs,
    ...(lane !== undefined && { lane: shortened(lane, MOST_NAME) }),
    ...(key !== undefined && { key: shortened(key, MOST_NAME) }),
    ...(tags && { tags: tags.map((tag) => shortened(tag, MOST_NAME)) }),
    ...(worker !== undefined && { worker: shortened(worker, MOST_NAME) }),
    ...(dueAtMs !== undefined && { dueAtMs }),
    ...(buriedAtMs !== undefined && { buriedAtMs }),
    ...(endedAtMs !== undefined && { endedAtMs }),
    ...(why !== undefined && { why: redact.text(why) }),
    attempts,
    ...(error !== undefined && { error }),
  }
}

export function jobOf(job: JobDetails, { metadata, spec }: TaskQueueObject, redact: Redactor): Job {
  const { id, state, task, enqueuedAtMs, attempts, crashes, envelope, ended, worker, progress } = job
  const text = (value: string, most: number) => shortened(redact.text(value), most)
  return {
    id,
    namespace: metadata.namespace ?? '',
    queue: metadata.name,
    state,
    task,
    ...(envelope && { lane: envelope.lane }),
    ...(envelope &&
      envelope.tags.length > 0 && { tags: envelope.tags.map((tag) => shortened(tag, MOST_NAME)) }),
    enqueuedAtMs,
    ...(job.dueAtMs !== undefined && { dueAtMs: job.dueAtMs }),
    ...(job.escalatedTo !== undefined && { escalatedTo: shortened(job.escalatedTo, MOST_NAME) }),
    ...(job.buriedAtMs !== undefined && { buriedAtMs: job.buriedAtMs }),
    ...(ended && { endedAtMs: ended.endedAtMs, ...ended.facts }),
    attempts,
    maxAttempts: spec.retry.maxAttempts,
    crashes,
    ...(envelope?.timeoutMs !== undefined && { timeoutMs: envelope.timeoutMs }),
    ...(worker !== undefined && { worker: shortened(worker, MOST_NAME) }),
    isCancelling: job.cancelling,
    ...(progress !== undefined && {
      progress: shortened(redact.json(bounded(progress), task), MOST_TEXT_BYTES),
    }),
    ...(envelope && { payloadBytes: Buffer.byteLength(envelope.payload) }),
    ...(ended?.state === 'completed' && { resultBytes: Buffer.byteLength(ended.result) }),
    ...(ended?.output !== undefined && { output: text(ended.output, MOST_OUTPUT) }),
    failures: job.failures.map((failure) => attemptOf(failure, redact)),
    can: CAN[state],
  }
}

const CAN: Record<JobDetails['state'], Job['can']> = {
  ready: ['cancel'],
  delayed: ['cancel'],
  held: ['cancel'],
  buried: ['retry', 'delete'],
  completed: ['delete'],
  cancelled: ['delete'],
  expired: ['delete'],
}

function attemptOf(record: AttemptRecord, redact: Redactor): Attempt {
  const text = (value: string, most: number) => shortened(redact.text(value), most)
  const { outcome, group, message, error, output, worker, pod, node, signal, ...numbers } = record
  const { exitCode, startedAtMs, endedAtMs, durationMs, cpuUserMs, cpuSystemMs, maxRssBytes } = numbers
  return {
    outcome: shortened(outcome, MOST_NAME),
    ...(group !== undefined && { group: shortened(group, MOST_NAME) }),
    ...(message !== undefined && { message: text(message, MOST_MESSAGE) }),
    ...(error && {
      error: {
        name: shortened(error.name, MOST_NAME),
        message: text(error.message, MOST_MESSAGE),
        ...(error.code !== undefined && { code: error.code }),
        ...(error.facts !== undefined && { facts: text(error.facts, MOST_MESSAGE) }),
        ...(error.causes && { causes: error.causes.map((cause) => text(cause, MOST_MESSAGE)) }),
        ...(error.stack !== undefined && { stack: text(error.stack, MOST_STACK) }),
      },
    }),
    ...(Number.isSafeInteger(exitCode) && { exitCode: exitCode as number }),
    ...(signal !== undefined && { signal: shortened(signal, MOST_NAME) }),
    ...(output !== undefined && { output: text(output, MOST_OUTPUT) }),
    ...(worker !== undefined && { worker: shortened(worker, MOST_NAME) }),
    ...(pod !== undefined && { pod: shortened(pod, MOST_NAME) }),
    ...(node !== undefined && { node: shortened(node, MOST_NAME) }),
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(endedAtMs !== undefined && { endedAtMs }),
    ...(durationMs !== undefined && { durationMs }),
    ...(cpuUserMs !== undefined && { cpuUserMs }),
    ...(cpuSystemMs !== undefined && { cpuSystemMs }),
    ...(maxRssBytes !== undefined && { maxRssBytes }),
  }
}

export function jsonTextOf(json: string, task: string, redact: Redactor): JsonText {
  // What is cut off could be the end of a secret, so a little more is looked through than is shown.
  const begin = bounded(json)
  const shown = redact.json(begin, task)
  const text = shortened(shown, MOST_TEXT_BYTES)
  return {
    text,
    bytes: Buffer.byteLength(json),
    isCut: begin.length < json.length || text.length < shown.length,
    isRedacted: shown !== begin,
  }
}

const bounded = (json: string): string => json.slice(0, MOST_REDACTED)

/** At most so many bytes of UTF-8, and no half character at the end. */
function shortened(text: string, mostBytes: number): string {
  if (text.length * 3 <= mostBytes || Buffer.byteLength(text) <= mostBytes) return text
  const cut = Buffer.from(text).subarray(0, mostBytes).toString('utf8')
  return cut.replace(/�$/, '')
}
