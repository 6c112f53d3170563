// What a script refuses, as an error that says which rule it was and how to go on.
import { LAYOUT } from './settings.ts'

/** Redis did what was asked of it, and the answer is no: `code` says which rule, the message how to go on. */
export class QueueRefused extends Error {
  readonly code:
    | 'PAYLOAD_TOO_LARGE'
    | 'QUEUE_FULL'
    | 'KEY_FULL'
    | 'NEWER_LAYOUT'
    | 'OLDER_LAYOUT'
    | 'REDIS_FULL'
    | 'NOT_DURABLE'
    | 'EVENTS_OFF'
    | 'SCHEDULE_TAKEN'
    | 'TOO_MANY_SCHEDULES'
    | 'BATCH_CLOSED'
    | 'BATCH_FULL'
  constructor(code: QueueRefused['code'], message: string) {
    super(message)
    this.name = 'QueueRefused'
    this.code = code
  }
}

export function refusalOf(error: unknown, queue: string): unknown {
  if (!(error instanceof Error)) return error
  const [code, first, second, id] = error.message.split(' ')
  if (code === 'PAYLOADTOOLARGE')
    return new QueueRefused(
      'PAYLOAD_TOO_LARGE',
      `the payload of job ${id} has ${first} bytes; queue ${queue} takes at most ${second} (spec.limits.maxPayload): store the data elsewhere and enqueue where it is`,
    )
  if (code === 'QUEUEFULL')
    return new QueueRefused(
      'QUEUE_FULL',
      `queue ${queue} has ${first} waiting jobs and takes at most ${second} (spec.limits.maxLength): enqueue later, or add workers`,
    )
  if (code === 'KEYFULL')
    return new QueueRefused(
      'KEY_FULL',
      `key ${first} of queue ${queue} is at its limit: ${second} of its jobs are ready and ${id} run (spec.limits.perKey): enqueue later, or raise it: millhand limit`,
    )
  if (code === 'OLDLAYOUT')
    return new QueueRefused(
      'OLDER_LAYOUT',
      `queue ${queue} has jobs of an older Millhand (its layout is ${first}, this program knows ${LAYOUT}): let workers of that release finish them, and retry or delete what is buried`,
    )
  if (code === 'NEWLAYOUT')
    return new QueueRefused(
      'NEWER_LAYOUT',
      `queue ${queue} was written by a newer Millhand (its layout is ${first}, this program knows ${LAYOUT}): upgrade this program`,
    )
  if (code === 'BATCHCLOSED')
    return new QueueRefused(
      'BATCH_CLOSED',
      `batch ${first} of queue ${queue} takes no jobs: it was closed, or is not known any more; begin another one`,
    )
  if (code === 'BATCHFULL')
    return new QueueRefused(
      'BATCH_FULL',
      `batch ${first} of queue ${queue} has ${second} jobs and takes at most 1,000,000: begin another one`,
    )
  if (code === 'FLOWRESULTTOOLARGE')
    return new QueueRefused(
      'PAYLOAD_TOO_LARGE',
      `the result of flow ${first} of queue ${queue} has more than ${second} bytes: name fewer results in returns(), or have its jobs store the data elsewhere and return where it is`,
    )
  if (code === 'UNKNOWNENTRY')
    return new QueueRefused(
      'NEWER_LAYOUT',
      `the outbox has "${first}" for queue ${queue}, which a newer Millhand wrote: upgrade this program`,
    )
  if (error.message.includes('OOM '))
    return new QueueRefused(
      'REDIS_FULL',
      `Redis is out of memory and refuses to write for queue ${queue}: raise maxmemory, or let workers catch up`,
    )
  return error
}
