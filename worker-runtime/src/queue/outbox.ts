// The outbox of a queue: what its scripts decided for other queues is taken there (lua/outbox.lua). By its
// workers (worker/outbox.ts), and by whoever has just written something into it.
import { listOf, numberOf, RedisDataInvalid, textOf } from './answers.ts'
import { checkedQueueName } from './keys.ts'
import type { Verbs } from './verbs.ts'

interface Batch {
  /** Where it is to be done. */
  readonly queue: string
  /** The ids of the entries in the outbox. */
  readonly entries: readonly string[]
  /** Of each entry its id, verb, id of the job or flow, head and text. */
  readonly work: readonly string[]
}

const FIELDS = 5
/** Of one call, each of up to 100 entries; what is left is due, and a worker's next renewal says so. */
const MOST_BATCHES = 10_000
const MAX_NAME = 512

/**
 * Forwards what is due, also in the outboxes of the queues that it reaches; answers how many entries. Any
 * number of processes may do so at once. Where a queue refuses its entries they stay, and are due again in 5
 * s; the first refusal is thrown when all else is forwarded. Ends after 10,000 batches.
 */
async function forward(verbs: Verbs): Promise<number> {
  let refusal: unknown
  const due = new Set([verbs.name])
  let [forwarded, left] = [0, MOST_BATCHES]
  for (const name of due) {
    due.delete(name) // it comes again when it is added again
    const from = verbs.of(name)
    let done: Batch | undefined
    for (; left > 0; left--) {
      const batch = await take(from, done)
      done = undefined
      if (!batch) break
      try {
        if (await accept(from, batch)) due.add(batch.queue)
        done = batch
        forwarded += batch.entries.length
      } catch (error) {
        refusal ??= error
      }
    }
  }
  if (refusal) throw refusal
  return forwarded
}

export const forwarding = { forward }

async function take(from: Verbs, done: Batch | undefined): Promise<Batch | undefined> {
  return from.write('forward', done ? [done.queue, ...done.entries] : [''], batchOf)
}

async function accept(from: Verbs, { queue, work }: Batch): Promise<boolean> {
  return from
    .of(queue)
    .write('accept', [from.name, ...work], (answer) => numberOf(answer, 'what is in an outbox', BIT) === 1)
}
const BIT = { least: 0, most: 1 }

function batchOf(answer: unknown): Batch | undefined {
  const [queue, ...rest] = listOf(answer, 'what is in an outbox')
  if (queue === undefined) return undefined
  const entries: string[] = []
  const work: string[] = []
  for (let i = 0; i < rest.length; i += FIELDS) {
    entries.push(textOf(rest[i], 'an entry of an outbox', MAX_NAME))
    for (const value of rest.slice(i, i + FIELDS))
      work.push(textOf(value, 'an entry of an outbox', Number.POSITIVE_INFINITY))
  }
  return { queue: nameOf(queue), entries, work }
}

function nameOf(value: unknown): string {
  try {
    return checkedQueueName(textOf(value, 'a queue in an outbox', MAX_NAME))
  } catch {
    throw new RedisDataInvalid('a queue in an outbox', value)
  }
}
