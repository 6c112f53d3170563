// One look a second at each queue, however many people ask, and none while nobody asks. What was seen last is
// kept: while Redis is away it is shown with its time.
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import { defaultQueueName } from '@millhand/control/resources/task-queue'
import type { OutputEvent, Queue, Rests } from 'millhand/queue'
import type { QueueNow } from '../api.ts'
import { type Crew, conditionsOf, crewOf, numbersOf, type Sample, sampleOf, samplesWith } from './numbers.ts'
import { type Open, type Plant, type Reached, reach, type Unreached } from './plant.ts'
import { Refused } from './refused.ts'

export interface LooksOptions {
  plant: Plant
  /** Monotonic, ms. */
  nowMs: () => number
  wallMs: () => number
}

type Seen = Pick<QueueNow, 'atMs' | 'numbers' | 'unread'>

interface Entry {
  seen: Seen
  samples: readonly Sample[]
  crew: Crew
  crewAtMs: number
  lookedAtMs: number
  askedAtMs: number
  looking: Promise<void> | undefined
  resting: { askedAtMs: number; rests: Promise<Rests | undefined> } | undefined
}

/** Less than the second between two frames of a stream. */
const FRESH_MS = 900
/** A list of workers may be long. */
const CREW_FRESH_MS = 4_500
/** A server that hangs does not hold up what is known of the others. */
const PATIENCE_MS = 1_500
const FORGOTTEN_AFTER_MS = 60_000
const LONG_AGO_MS = Number.NEGATIVE_INFINITY
const MOST_RESTS = 20

export class Looks {
  readonly #options: LooksOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: LooksOptions) {
    this.#options = options
  }

  /** How many queues are kept. */
  get size(): number {
    return this.#entries.size
  }

  /** Never throws: where the queue cannot be read, `unread` says why. */
  async now(object: TaskQueueObject): Promise<QueueNow> {
    const entry = this.#entryOf(object)
    const { nowMs } = this.#options
    entry.askedAtMs = nowMs()
    if (nowMs() - entry.lookedAtMs >= FRESH_MS) {
      entry.looking ??= this.#look(object, entry)
      await patiently(entry.looking)
    }
    return { ...this.declared(object), ...this.#seen(entry) }
  }

  /** What was seen last, without a look at Redis. */
  known(object: TaskQueueObject): QueueNow {
    const entry = this.#entries.get(keyOf(object))
    if (entry) entry.askedAtMs = this.#options.nowMs()
    return { ...this.declared(object), ...entry?.seen }
  }

  /** Monotonic, ms. */
  lookedAtMs(object: TaskQueueObject): number {
    return this.#entries.get(keyOf(object))?.lookedAtMs ?? LONG_AGO_MS
  }

  /** What its resource says, without a look at Redis. */
  declared(object: TaskQueueObject): QueueNow {
    const { name, namespace = '' } = object.metadata
    const pools = [...this.#options.plant.find('WorkerPool', 'queue', `${namespace}/${name}`)]
    return {
      namespace,
      name,
      queueName: object.spec.queueName ?? defaultQueueName(namespace, name),
      conditions: conditionsOf(object.status?.conditions),
      pools: pools.map(({ metadata }) => metadata.name),
    }
  }

  /** The longest first; undefined where they cannot be read. */
  rests(object: TaskQueueObject): Promise<Rests | undefined> {
    const entry = this.#entryOf(object)
    const askedAtMs = this.#options.nowMs()
    if (!entry.resting || askedAtMs - entry.resting.askedAtMs >= FRESH_MS) {
      const read = async () => (await this.queue(object)).rests({ limit: MOST_RESTS })
      entry.resting = { askedAtMs, rests: read().catch(() => undefined) }
    }
    return entry.resting.rests
  }

  /** A person has ended some. */
  forgetRests(object: TaskQueueObject): void {
    this.#entryOf(object).resting = undefined
  }

  /** The queue itself; throws Refused with 503 where it cannot be reached. */
  async queue(object: TaskQueueObject): Promise<Queue> {
    return (await this.#open(object)).queue()
  }

  /** The live output of a job; throws as `queue` does. */
  async output(
    object: TaskQueueObject,
    id: string,
    signal: AbortSignal,
  ): Promise<AsyncGenerator<OutputEvent>> {
    return (await this.#open(object)).output(id, signal)
  }

  awaySinceMs(object: TaskQueueObject): number | undefined {
    return this.#entries.get(keyOf(object))?.seen.unread?.sinceMs
  }

  async #open(object: TaskQueueObject): Promise<Open> {
    const reached = await reach(this.#options.plant, object)
    if (reached.kind === 'open') return reached
    throw new Refused(503, reached.reason, reached.message, since(this.awaySinceMs(object)))
  }

  #entryOf(object: TaskQueueObject): Entry {
    const known = this.#entries.get(keyOf(object))
    if (known) return known
    this.#forgetOld()
    const crew = { workers: 0, draining: 0, slots: 0 }
    const times = { crewAtMs: LONG_AGO_MS, lookedAtMs: LONG_AGO_MS, askedAtMs: LONG_AGO_MS }
    const entry: Entry = { seen: {}, samples: [], crew, ...times, looking: undefined, resting: undefined }
    this.#entries.set(keyOf(object), entry)
    return entry
  }

  #forgetOld(): void {
    const now = this.#options.nowMs()
    for (const [key, { askedAtMs, looking }] of this.#entries)
      if (!looking && now - askedAtMs > FORGOTTEN_AFTER_MS) this.#entries.delete(key)
  }

  async #look(object: TaskQueueObject, entry: Entry): Promise<void> {
    let reached: Reached | undefined
    try {
      reached = await reach(this.#options.plant, object)
      if (reached.kind === 'problem') this.#failed(entry, reached)
      else await this.#read(reached.queue(), entry)
    } catch (error) {
      const problem = reached?.kind === 'open' ? reached.problemOf(error) : undefined
      this.#failed(entry, problem ?? { reason: 'RedisScriptsFail', message: 'the queue cannot be read' })
    } finally {
      entry.lookedAtMs = this.#options.nowMs()
      entry.looking = undefined
    }
  }

  async #read(queue: Queue, entry: Entry): Promise<void> {
    const { nowMs, wallMs } = this.#options
    if (nowMs() - entry.crewAtMs >= CREW_FRESH_MS) {
      entry.crew = crewOf(await queue.workers())
      entry.crewAtMs = nowMs()
    }
    const depth = await queue.depth()
    entry.samples = samplesWith(entry.samples, sampleOf(depth, nowMs()))
    entry.seen = { atMs: wallMs(), numbers: numbersOf(depth, entry.samples, entry.crew) }
  }

  #failed(entry: Entry, { reason, message }: Pick<Unreached, 'reason' | 'message'>): void {
    const sinceMs = entry.seen.unread?.sinceMs ?? this.#options.wallMs()
    entry.seen = { ...entry.seen, unread: { reason, message, sinceMs } }
  }

  /** A look that hangs is told before it has failed. */
  #seen({ seen, looking, lookedAtMs }: Entry): Seen {
    if (!looking || seen.unread) return seen
    const { nowMs, wallMs } = this.#options
    const sinceMs = wallMs() - (lookedAtMs === LONG_AGO_MS ? 0 : Math.round(nowMs() - lookedAtMs))
    return { ...seen, unread: { reason: 'RedisUnreachable', message: 'Redis has not answered yet', sinceMs } }
  }
}

export function keyOf({ metadata }: { metadata: { namespace?: string; name: string } }): string {
  return `${metadata.namespace}/${metadata.name}`
}

const since = (sinceMs: number | undefined) => (sinceMs === undefined ? {} : { sinceMs })

async function patiently(look: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS)
  })
  await Promise.race([look, enough])
  clearTimeout(timer)
}
