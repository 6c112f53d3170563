// Saves the values of steps and checkpoints for a task (queue/save.ts). Called by calls.ts. A call waits
// while Redis is away, because its step is done: until Redis has the value or the job is no longer held.
import { setTimeout as sleep } from 'node:timers/promises'
import { CallRefused } from '../child/calls.ts'
import { MAX_SAVED_BYTES } from '../child/messages.ts'
import type { Holder, WasSaved } from '../queue/save.ts'
import { RedisUnavailable } from '../redis/connection.ts'
import type { Consumer } from './consumer.ts'
import type { ClaimedJob } from './observers.ts'
import { notHeld } from './progress.ts'

const FIRST_WAIT_MS = 50
const MOST_WAIT_MS = 1_000
const STEP = /^\s*\[\s*"([A-Za-z0-9:._-]{1,100})"\s*,(.*)\]\s*$/s

/** `{"steps": {<name>: <value>}, "checkpoint": <value>}` as JSON text; no checkpoint where there is none. */
export async function savedOf(job: ClaimedJob): Promise<string> {
  const saved = await whileHeld(job, (queue, holder) => queue.saved(holder))
  if (!saved) throw notHeld()
  const steps = [...saved.steps].map(([name, value]) => `${JSON.stringify(name)}:${value}`)
  const checkpoint = saved.checkpoint === undefined ? '' : `,"checkpoint":${saved.checkpoint}`
  return `{"steps":{${steps.join()}}${checkpoint}}`
}

/** `body` is `[<name>, <value>]` as JSON text. The value stays the text that the child has written. */
export async function saveStep(job: ClaimedJob, body: string): Promise<string> {
  const [, name, value] = STEP.exec(body) ?? []
  if (name === undefined || value === undefined || !isJson(value))
    throw new CallRefused('INVALID_CALL', 'a step takes a list of its name and its value, as JSON')
  return answered(await whileHeld(job, (queue, holder) => queue.saveStep(holder, name, value)))
}

export async function saveCheckpoint(job: ClaimedJob, body: string): Promise<string> {
  if (!isJson(body)) throw new CallRefused('INVALID_CALL', 'a checkpoint takes a value, as JSON')
  return answered(await whileHeld(job, (queue, holder) => queue.saveCheckpoint(holder, body)))
}

function answered(was: WasSaved): string {
  if (was.kind === 'saved') return 'null'
  if (was.kind === 'not-held') throw notHeld()
  throw new CallRefused(
    'SAVED_TOO_LARGE',
    `the steps and the checkpoint of this job would have ${was.bytes} bytes; at most ${MAX_SAVED_BYTES} are kept: store the data elsewhere and save where it is`,
  )
}

/** Waits while Redis is away and the job is held. */
export async function whileHeld<T>(
  { consumer, claim, worker }: ClaimedJob,
  call: (queue: Consumer['queue'], holder: Holder) => Promise<T>,
): Promise<T> {
  const holder = { worker, id: claim.id, token: claim.token }
  for (let waitMs = FIRST_WAIT_MS; ; waitMs = Math.min(2 * waitMs, MOST_WAIT_MS)) {
    if (!consumer.isHeld(claim)) throw notHeld()
    try {
      return await call(consumer.queue, holder)
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error
      await sleep(waitMs)
    }
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
