// The verbs of one queue: each runs its script in Redis, and a refusal becomes an error that says what to do.
// Below enqueue.ts, hold.ts, people.ts and owner.ts, which say what the verbs mean to whom.
import { type Command, type Connection, RedisUnavailable } from '../redis/connection.ts'
import { RedisDataInvalid } from './answers.ts'
import { prefixOf } from './keys.ts'
import { refusalOf } from './refused.ts'
import { loadScripts, type Script, type Scripts, type Verb } from './scripts.ts'

/** Counters of a queue that only ever grow, unless Redis goes back to an earlier state. */
export interface Seen {
  readonly enqueued: number
  readonly claimed: number
}

export type Arguments = readonly (string | number)[]

/** By the database. */
const production = new Map<number, Scripts>()

export class Verbs {
  readonly name: string
  readonly redis: Connection
  readonly #scripts: Scripts
  /**
   * The highest that Redis answered here: it is told so, and notices when it went back to an earlier state.
   */
  #seen: Seen = { enqueued: 0, claimed: 0 }

  /** `name` is checked; tests give scripts of their own. */
  constructor({ name, redis, scripts }: { name: string; redis: Connection; scripts?: Scripts | undefined }) {
    this.name = name
    this.redis = redis
    this.#scripts = scripts ?? production.get(redis.database) ?? loadScripts({ database: redis.database })
    if (!scripts) production.set(redis.database, this.#scripts)
  }

  get seen(): Seen {
    return this.#seen
  }

  note({ enqueued = 0, claimed = 0 }: Partial<Seen>): void {
    const seen = this.#seen
    this.#seen = { enqueued: Math.max(enqueued, seen.enqueued), claimed: Math.max(claimed, seen.claimed) }
  }

  /** Another queue of the same Redis; `name` is checked. */
  of(name: string): Verbs {
    return name === this.name ? this : new Verbs({ name, redis: this.redis, scripts: this.#scripts })
  }

  readonly key = (name: string): string => prefixOf(this.name) + name

  run(verb: Verb, args: Arguments): Promise<unknown> {
    return run(this.redis, this.#scripts[verb], prefixOf(this.name), args).catch(this.#explain)
  }

  /** Runs a verb, and right behind it a command about what was written. */
  runThen(
    verb: Verb,
    args: Arguments,
    second: { command: Command; deadlineMs: number },
  ): Promise<[unknown, unknown]> {
    const send = (first: Command) => this.redis.callThen(second.deadlineMs, first, second.command)
    return evaluated(this.#scripts[verb], { prefix: prefixOf(this.name), args }, send).catch(this.#explain)
  }

  async write<T>(verb: Verb, args: Arguments, parse: (answer: unknown) => T): Promise<T> {
    return believed(await this.run(verb, args), parse)
  }

  readonly #explain = (error: unknown): never => {
    throw error instanceof RedisUnavailable ? error : refusalOf(error, this.name)
  }
}

/**
 * Runs a verb on the queue with this prefix; a server that does not know the script yet gets it with the same
 * call. Two keys are named: while a Cluster moves a slot key by key, a script would find only some of a
 * queue's keys, and a call with two keys of which one is missing is refused as a whole (TRYAGAIN). The prefix
 * itself is never a key.
 */
export function run(redis: Connection, script: Script, prefix: string, args: Arguments): Promise<unknown> {
  return evaluated(script, { prefix, args }, (command) => redis.send(command))
}

function evaluated<T>(
  { sha, source }: Script,
  { prefix, args }: { prefix: string; args: Arguments },
  send: (command: Command) => Promise<T>,
): Promise<T> {
  const command: [string, ...(string | number)[]] = ['EVALSHA', sha, 2, prefix, `${prefix}config`]
  command.push(...args)
  return send(command).catch((error) => {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return send(['EVAL', source, ...command.slice(2)])
  })
}

/** An answer to a write that no script gives: the other side is no Redis, and may have done anything. */
export function believed<T>(answer: unknown, parse: (answer: unknown) => T): T {
  try {
    return parse(answer)
  } catch (error) {
    if (!(error instanceof RedisDataInvalid)) throw error
    throw new RedisUnavailable(error.message, { maybeDone: true, code: 'PROTOCOL' })
  }
}
