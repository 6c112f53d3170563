// One queue in Redis: its verbs, with their arguments and answers typed. Used by the client, the worker, the CLI and the operator.
import { randomInt } from 'node:crypto'
import type { NewJob } from '../job.ts'
import { type Command, type Connection, neverSent, RedisUnavailable } from '../redis/connection.ts'
import { amountOf, listOf, MAX_TEXT, numberOf, oneOf, RedisDataInvalid, textOf } from './answers.ts'
import {
  COUNT_FIELDS,
  type Depth,
  depthOf,
  JOB_STATES,
  type JobDetails,
  type JobState,
  type JobSummary,
  jobOf,
  MOST_JOBS_A_PAGE,
  MOST_WORKERS,
  summariesOf,
  WORKERS_A_PAGE,
  type WorkerEntry,
  workersOf,
} from './depth.ts'
import { checkedQueueName, prefixOf } from './keys.ts'
import { LAYOUT, type QueueSettings } from './settings.ts'
import { loadScripts, run, runThen, type Scripts, type Verb } from './verbs.ts'
import {
  countersOf,
  type Enqueued,
  enqueuedOf,
  type Renewed,
  type Resynced,
  registeredOf,
  renewedOf,
  resyncedOf,
  type SettledAndClaimed,
  settledAndClaimedOf,
} from './written.ts'

/** Redis did what was asked of it, and the answer is no: `code` says which rule, the message how to go on. */
export class QueueRefused extends Error {
  readonly code:
    | 'PAYLOAD_TOO_LARGE'
    | 'QUEUE_FULL'
    | 'NEWER_LAYOUT'
    | 'OLDER_LAYOUT'
    | 'REDIS_FULL'
    | 'NOT_DURABLE'
  constructor(code: QueueRefused['code'], message: string) {
    super(message)
    this.name = 'QueueRefused'
    this.code = code
  }
}

/**
 * When an enqueue counts as done. fast: Redis has it in memory. fsync: it is on the primary's disk too. replicated: at least one replica has it
 * in memory too.
 */
export type Durability = (typeof DURABILITIES)[number]
export const DURABILITIES = ['fast', 'fsync', 'replicated'] as const

export type { Claim, Enqueued, Renewed, Resynced, SettledAndClaimed } from './written.ts'

/** Held jobs are cancelled, and outcomes expire. */
export const PURGEABLE = ['ready', 'delayed', 'buried'] as const
export type Purgeable = (typeof PURGEABLE)[number]

export interface Owner {
  readonly uid: string
  readonly name: string
}

/** For people: never a part of a command. */
export function ownerText({ uid, name }: Owner): string {
  if (name !== '') return `"${name.replaceAll(/\s+/g, ' ').slice(0, 200)}"`
  return /^[0-9a-f-]{36}$/.test(uid) ? `the owner with the UID ${uid}` : 'an owner without a name'
}

export interface Registration {
  worker: string
  process: string
  pod: string
  podUid: string
  poolUid: string
  node: string
  slots: number
  isolation: string
  isolationNote: string
  version: string
}

/** What a running attempt has used when it was last looked at. */
export interface UsedSoFar {
  readonly token: string
  readonly maxRssBytes?: number
  readonly cpuUserMs?: number
  readonly cpuSystemMs?: number
}

/** An attempt that ended, as the worker tells it to Redis. */
export interface Settlement {
  readonly id: string
  /** The proof of ownership that the claim gave. */
  readonly token: string
  readonly verdict: 'completed' | 'failed' | 'terminal' | 'cancelled' | 'handed-back'
  readonly text: string
}

/** Counters of a queue that only ever grow, unless Redis goes back to an earlier state. */
export type Seen = Pick<Depth['counts'], 'enqueued' | 'claimed'>

const SLICE = 500
/** Of buried jobs a script reads the last record too, of up to 20 KB. */
const RECORDS_PER_CALL = 100
/** To put back a job takes a dozen commands. */
const REAP_SLICE = 100
/** Whoever answers that more is left, again and again, keeps nobody for longer. */
const REAP_WITHIN_MS = 5_000
const MAX_JOBS_A_CALL = 1_000
const MAX_BYTES_A_CALL = 1_000_000

/** By the database. */
const productionScripts = new Map<number, Scripts>()

/** Opens the queue with this name in Redis (`queueName(namespace, name)`). Costs nothing; nothing is created. */
export function openQueue(redis: Connection, name: string, scripts?: Scripts): Queue {
  const { database } = redis
  const known = scripts ?? productionScripts.get(database) ?? loadScripts({ database })
  if (!scripts) productionScripts.set(database, known)
  return new Queue(redis, checkedQueueName(name), known)
}

export class Queue {
  readonly name: string
  readonly redis: Connection
  readonly #prefix: string
  readonly #scripts: Scripts
  /** The highest that Redis answered here: it is told so, and notices when it went back to an earlier state. */
  #seen: Seen = { enqueued: 0, claimed: 0 }

  constructor(redis: Connection, name: string, scripts: Scripts) {
    this.name = name
    this.redis = redis
    this.#prefix = prefixOf(name)
    this.#scripts = scripts
  }

  /** Enqueues all in calls of at most 1,000 jobs or 1 MB; each call is done whole or not at all. Answers in the order of the jobs. */
  async enqueue(jobs: readonly NewJob[]): Promise<Enqueued[]> {
    const answers: Enqueued[] = []
    for (const part of callsOf(jobs)) {
      try {
        answers.push(...(await this.enqueueAtOnce(part, 'fast')))
      } catch (error) {
        if (!(error instanceof RedisUnavailable) || answers.length === 0) throw error
        throw new RedisUnavailable(error.message, { maybeDone: true, code: error.code, cause: error })
      }
    }
    return answers
  }

  /** In one call: for what `callsOf` makes. What is not 'fast' keeps the connection waiting: use one for it alone. */
  async enqueueAtOnce(jobs: readonly NewJob[], durability: Durability): Promise<Enqueued[]> {
    if (durability !== 'fast') await this.#checkDurability(durability)
    const args = enqueueArgs(jobs)
    args.push(String(this.#seen.enqueued))
    const answer = await (durability === 'fast'
      ? this.#run('enqueue', args)
      : this.#runConfirmed('enqueue', args, durability))
    const { enqueued, answers } = believed(answer, (said) => enqueuedOf(said, jobs.length))
    this.#note({ enqueued })
    return answers
  }

  /**
   * Answers the queue's timeout of an attempt, the older workers of the same pod, which are dead for sure, and how many enqueues Redis is known
   * to have lost so far.
   */
  async register(entry: Registration): Promise<{ timeoutMs: number; dead: string[]; vanished: number }> {
    const { worker, podUid, ...fields } = entry
    const pairs = Object.entries(fields).map(([field, value]) => [field, boundedText(value)])
    const answer = await this.#write('register', [worker, podUid, ...pairs.flat()], registeredOf)
    const { timeoutMs, dead, counters } = answer
    this.#note(counters)
    return { timeoutMs, dead, vanished: counters.vanished }
  }

  /** What its attempts use is kept until it renews again, for the record of a dead worker's attempts. */
  async renew(worker: string, used: readonly UsedSoFar[] = [], isStopping = false): Promise<Renewed> {
    const lines = used.map(({ token, maxRssBytes, cpuUserMs, cpuSystemMs }) =>
      [token, ...[maxRssBytes, cpuUserMs, cpuSystemMs].map((amount) => amount ?? '-')].join(' '),
    )
    const { enqueued: lastEnqueued, claimed: lastClaimed } = this.#seen
    const stopping = isStopping ? ['stopping'] : []
    const args = [worker, lastEnqueued, lastClaimed, lines.join('\n'), ...stopping]
    const answer = await this.#write('renew', args, renewedOf)
    if (answer.kind === 'alive') this.#note(answer.counters)
    return answer
  }

  async deregister(worker: string): Promise<boolean> {
    return this.#write('deregister', [worker], (answer) => numberOf(answer, 'what a worker holds', BIT) === 1)
  }

  /** From now on only claims with this sequence number count; answers what the worker holds. */
  async resync(worker: string, sequence: number): Promise<Resynced> {
    return this.#write('resync', [worker, sequence], resyncedOf)
  }

  /** The one call on the path of every job. */
  async settleAndClaim(
    worker: string,
    sequence: number,
    settlements: readonly Settlement[],
    wanted: number,
  ): Promise<SettledAndClaimed> {
    const most = Math.min(wanted, MAX_JOBS_A_CALL)
    const args: (string | number)[] = [worker, sequence, most, seed()]
    for (const { id, token, verdict, text } of settlements) args.push(id, token, verdict, text)
    const asked = { settled: settlements.length, wanted: Math.max(0, most) }
    const answer = await this.#write('exchange', args, (said) => settledAndClaimedOf(said, asked))
    const last = answer.claims.at(-1)
    if (last) this.#note({ claimed: Number(last.token) })
    return answer
  }

  /**
   * Puts back what a dead worker held, slice by slice; answers how many jobs. Of more than it can put back in 5 s the next call does more.
   * 'silent': only if its heartbeat ran out.
   */
  async reap(
    worker: string,
    evidence: 'sure' | 'silent',
    reason: string,
    counting: 'counted' | 'uncounted' = 'counted',
  ): Promise<number> {
    // A reason that was cut may end in half a character, which Redis cannot read as JSON.
    const message = reason.toWellFormed()
    const record = JSON.stringify({ outcome: 'worker-lost', message, worker, endedAtMs: Date.now() })
    let putBack = 0
    const untilMs = performance.now() + REAP_WITHIN_MS
    do {
      const args = [worker, evidence, counting, record, seed(), REAP_SLICE]
      const [done, left] = await this.#write('reap', args, (answer) => listOf(answer, 'what was put back'))
      if (done === -1) break
      putBack += amountOf(done, 'what was put back')
      if (amountOf(left, 'what is left to put back') === 0) break
    } while (performance.now() < untilMs)
    return putBack
  }

  /** All workers that this process registered are dead for sure. Answers how many jobs were put back. */
  async reapProcess(
    process: string,
    reason: string,
    counting: 'counted' | 'uncounted' = 'counted',
  ): Promise<number> {
    let putBack = 0
    for (const worker of await this.workers())
      if (worker.name.startsWith(`${process}:`))
        putBack += await this.reap(worker.name, 'sure', reason, counting)
    return putBack
  }

  /** Progress of running attempts, as JSON text; what is no longer held is ignored by the server. */
  async report(
    worker: string,
    progress: readonly { id: string; token: string; json: string }[],
  ): Promise<boolean[]> {
    const args = [worker, ...progress.flatMap(({ id, token, json }) => [id, token, json])]
    return this.#write('report', args, (answer) =>
      listOf(answer, 'the answer to a report').map((isHeld) => isHeld === 1),
    )
  }

  /** 'cancelling': it runs, and its worker ends it. Another state: it cannot be cancelled in it. */
  async cancel(id: string): Promise<'cancelling' | JobState> {
    return this.#write('cancel', [id], (answer) => oneOf(answer, 'a job', ['cancelling', ...JOB_STATES]))
  }

  /** Buried jobs get all their attempts again. Answers the state of each. */
  async retry(ids: readonly string[]): Promise<JobState[]> {
    return this.#inSlices('retry', ids, JOB_STATES)
  }

  /** Buried and ended jobs are deleted for good; their ids are free. Answers 'deleted', or the state of those that are neither. */
  async delete(ids: readonly string[]): Promise<('deleted' | JobState)[]> {
    return this.#inSlices('delete', ids, ['deleted', ...JOB_STATES])
  }

  /** Deletes at most 500 jobs in these states for good. Call it again while there may be more. */
  async purge(states: readonly Purgeable[]): Promise<{ deleted: number; isMore: boolean }> {
    const [deleted, isMore] = await this.#write('purge', states, (answer) =>
      listOf(answer, 'what was deleted'),
    )
    return { deleted: amountOf(deleted, 'what was deleted'), isMore: amountOf(isMore, 'what is left') > 0 }
  }

  async configure(settings: QueueSettings): Promise<'configured' | 'name-taken'> {
    const { ownerUid = '', owner = '', maxBusy, suspended, ...numbers } = settings
    const pairs = Object.entries(numbers).flat()
    const args = [
      ownerUid,
      ...pairs,
      'maxBusy',
      maxBusy ?? '',
      'suspended',
      suspended ? 1 : 0,
      'owner',
      owner,
    ]
    return this.#write('configure', args, (answer) => oneOf(answer, 'a queue', ['configured', 'name-taken']))
  }

  /** Gives the name back; jobs and settings stay. Answers whose it is then: '' is nobody's. */
  async release(ownerUid: string): Promise<string> {
    return this.#write('release', [ownerUid], (answer) => textOf(answer, 'config.ownerUid'))
  }

  /** Who declared it; undefined where the name is free. Both are words of that owner, not ours. */
  async owner(): Promise<Owner | undefined> {
    const answer = await this.redis.call('HMGET', `${this.#prefix}config`, 'ownerUid', 'owner')
    const [uid = '', name = ''] = listOf(answer, 'owner').map((text) => textOf(text ?? '', 'owner'))
    return uid === '' ? undefined : { uid, name }
  }

  async pause(): Promise<void> {
    await this.#write('pause', ['1'], isDone)
  }

  async resume(): Promise<void> {
    await this.#write('pause', ['0'], isDone)
  }

  /** Workers of these pods claim nothing for so long. */
  async drain(podUids: readonly string[], forMs: number): Promise<void> {
    await this.#write('drain', [forMs, ...podUids], isDone)
  }

  async undrain(podUids: readonly string[]): Promise<void> {
    await this.#write('drain', ['0', ...podUids], isDone)
  }

  /** Its pod has no time left: it hands back what it holds and ends. Drain the pod first. Answers whether somebody heard it. */
  async dismiss(worker: string): Promise<boolean> {
    return (await this.#write('dismiss', [worker], (answer) => amountOf(answer, 'who heard it'))) > 0
  }

  async depth(): Promise<Depth> {
    return depthOf(await this.#run('depth', COUNT_FIELDS))
  }

  /** At most 10,000; throws RedisDataInvalid where there are more. Each worker's entry is of one moment, and not all of the same. */
  async workers(): Promise<WorkerEntry[]> {
    const page = async (names: readonly string[]) =>
      workersOf(await this.#run('workers', [WORKERS_A_PAGE, MOST_WORKERS, MAX_TEXT, ...names]))
    const { workers, rest } = await page([])
    for (let i = 0; i < rest.length; i += WORKERS_A_PAGE)
      workers.push(...(await page(rest.slice(i, i + WORKERS_A_PAGE))).workers)
    return workers
  }

  async job(id: string): Promise<JobDetails | undefined> {
    return jobOf(id, await this.#run('job', [id]))
  }

  /** A page of the jobs in a state; `limit` at most 1,000. */
  async jobs(
    state: 'ready' | 'delayed' | 'held' | 'buried' | 'completed',
    { offset = 0, limit = 50 } = {},
  ): Promise<JobSummary[]> {
    const most = Math.min(limit, MOST_JOBS_A_PAGE)
    const page = state === 'buried' ? RECORDS_PER_CALL : most
    const found: JobSummary[] = []
    for (let at = 0; at < most; at += page) {
      const wanted = Math.min(page, most - at)
      const answer = summariesOf(state, await this.#run('jobs', [state, offset + at, wanted]))
      found.push(...answer)
      if (answer.length < wanted) break
    }
    return found
  }

  /** For who neither enqueues nor renews: what Redis took since it had these counters, and has no more, is counted as vanished. */
  async witness({ enqueued, claimed }: Seen): Promise<void> {
    await this.#write('witness', [enqueued, claimed], countersOf)
  }

  #note({ enqueued = 0, claimed = 0 }: Partial<Seen>): void {
    const seen = this.#seen
    this.#seen = { enqueued: Math.max(enqueued, seen.enqueued), claimed: Math.max(claimed, seen.claimed) }
  }

  async #inSlices<T extends string>(verb: Verb, ids: readonly string[], words: readonly T[]): Promise<T[]> {
    const answers: T[] = []
    for (let i = 0; i < ids.length; i += SLICE) {
      const slice = ids.slice(i, i + SLICE)
      const states = (answer: unknown) =>
        listOf(answer, 'the states of jobs').map((each) => oneOf(each, 'a job', words))
      answers.push(...(await this.#write(verb, slice, states)))
    }
    return answers
  }

  /**
   * Throws RedisUnavailable, NOT_CONFIRMED, where nobody confirms in time: what was asked is done, and may be lost with the primary. To ask again
   * is not for us: the job may have ended and be forgotten by then, and would run a second time.
   */
  async #runConfirmed(verb: Verb, args: readonly string[], durability: Confirmed): Promise<unknown> {
    const script = this.#scripts[verb]
    const confirm = { command: confirmation(durability, CONFIRM_MS), deadlineMs: CONFIRM_MS + 2_500 }
    const [answer, confirmed] = await this.#explained(
      runThen(this.redis, script, this.#prefix, args, confirm).catch(firstMaybeDone),
    )
    const count = Number(Array.isArray(confirmed) ? confirmed[0] : confirmed)
    if (count >= 1) return answer
    throw new RedisUnavailable(`${confirmer(durability)} did not confirm within ${CONFIRM_MS} ms`, {
      maybeDone: true,
      code: 'NOT_CONFIRMED',
    })
  }

  /** Before anything is written: whether this server can promise that at all, and this user may ask for it. */
  async #checkDurability(durability: Confirmed): Promise<void> {
    const ask = (command: Command) =>
      this.redis
        .callThen(this.redis.deadlineMs, ['EXISTS', `${this.#prefix}config`], command)
        .catch((error) => {
          throw notDurable(error, durability, this.name)
        })
    if (durability === 'fsync') {
      await ask(confirmation(durability, 1))
      return
    }
    const [[, role]] = await Promise.all([ask(['ROLE']), ask(confirmation(durability, 1))])
    const [, , replicas] = believed(role, (said) => listOf(said, 'the role of a server'))
    if (Array.isArray(replicas) && replicas.length > 0) return
    throw new QueueRefused(
      'NOT_DURABLE',
      `${this.name}: durability replicated cannot be had: it needs a replica, and this Redis has none`,
    )
  }

  async #write<T>(verb: Verb, args: readonly (string | number)[], parse: (answer: unknown) => T): Promise<T> {
    return believed(await this.#run(verb, args), parse)
  }

  #run(verb: Verb, args: readonly (string | number)[]): Promise<unknown> {
    return this.#explained(run(this.redis, this.#scripts[verb], this.#prefix, args))
  }

  async #explained<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw error instanceof RedisUnavailable ? error : refusalOf(error, this.name)
    }
  }
}

type Confirmed = Exclude<Durability, 'fast'>

/** How long a disk or a replica may take. */
const CONFIRM_MS = 5_000

const confirmation = (durability: Confirmed, withinMs: number): Command =>
  durability === 'fsync' ? ['WAITAOF', 1, 0, withinMs] : ['WAIT', 1, withinMs]

const confirmer = (durability: Confirmed): string =>
  durability === 'fsync' ? 'the disk of the primary (never, where appendfsync is no)' : 'a replica'

/** The server said of one of two commands that it did not do it; what it did of the other nobody knows. */
function firstMaybeDone(error: Error): never {
  if (!(error instanceof RedisUnavailable) || error.maybeDone) throw error
  throw new RedisUnavailable(error.message, { maybeDone: true, code: error.code, cause: error.cause })
}

function notDurable(error: Error, durability: Confirmed, queue: string): Error {
  if (error instanceof RedisUnavailable) return neverSent(error)
  // Another one is the primary now, or will be soon.
  if (/cannot be used with replica instances/.test(error.message))
    return new RedisUnavailable('this server is a replica', {
      maybeDone: false,
      code: 'NOT_SERVING',
      cause: error,
    })
  const why = whyNotDurable(error.message, durability)
  return new QueueRefused('NOT_DURABLE', `${queue}: durability ${durability} cannot be had: ${why}`)
}

function whyNotDurable(said: string, durability: Confirmed): string {
  if (/^NOPERM.* run the '(wait|waitaof|role)'/.test(said))
    return `this user may not ask for it: allow ${durability === 'fsync' ? '+waitaof' : '+wait and +role'}`
  if (durability === 'fsync' && /unknown command/i.test(said))
    return 'this server is older: it needs Redis 7.2 or Valkey'
  if (/appendonly/.test(said)) return 'this server keeps no append-only file: set appendonly yes'
  return said
}

/** What no script answers to a write comes from something that is no Redis: nobody knows what it did. */
function believed<T>(answer: unknown, parse: (answer: unknown) => T): T {
  try {
    return parse(answer)
  } catch (error) {
    if (!(error instanceof RedisDataInvalid)) throw error
    throw new RedisUnavailable(error.message, { maybeDone: true, code: 'PROTOCOL' })
  }
}

const BIT = { least: 0, most: 1 }
const isDone = (answer: unknown): number => numberOf(answer, 'the answer to a write', { least: 1, most: 1 })

function refusalOf(error: unknown, queue: string): unknown {
  if (!(error instanceof Error)) return error
  const [code, first, second, id] = error.message.split(' ')
  if (code === 'PAYLOADTOOLARGE')
    return new QueueRefused(
      'PAYLOAD_TOO_LARGE',
      `the payload of job ${id} has ${first} bytes; queue ${queue} takes at most ${second} (spec.maxPayloadBytes): store the data elsewhere and enqueue where it is`,
    )
  if (code === 'QUEUEFULL')
    return new QueueRefused(
      'QUEUE_FULL',
      `queue ${queue} has ${first} waiting jobs and takes at most ${second} (spec.maxLength): enqueue later, or add workers`,
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
  if (error.message.includes('OOM '))
    return new QueueRefused(
      'REDIS_FULL',
      `Redis is out of memory and refuses to write for queue ${queue}: raise maxmemory, or let workers catch up`,
    )
  return error
}

/** Most jobs of a call are alike but for id and payload: what a job shares with the one before it is not said again. */
function enqueueArgs(jobs: readonly NewJob[]): string[] {
  const args: string[] = []
  let last = ''
  for (const { id, lane, when, call, payload } of jobs) {
    const head = `${lane} ${when || '-'} ${call}`
    args.push(id, head === last ? '' : head, payload)
    last = head
  }
  return args
}

/** Each of them goes to Redis as one call, done whole or not at all. */
export function* callsOf(jobs: readonly NewJob[]): Generator<readonly NewJob[]> {
  let part: NewJob[] = []
  let bytes = 0
  for (const job of jobs) {
    if (
      part.length === MAX_JOBS_A_CALL ||
      (part.length > 0 && bytes + job.payload.length > MAX_BYTES_A_CALL)
    ) {
      yield part
      part = []
      bytes = 0
    }
    part.push(job)
    bytes += job.payload.length
  }
  if (part.length > 0) yield part
}

function boundedText(value: string | number): string | number {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT).toWellFormed() : value
}

const seed = (): number => randomInt(2 ** 31)
