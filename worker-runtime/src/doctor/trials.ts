// Tries what a queue needs of its Redis and no setting tells: a script that asks for the time and writes,
// waiting for work, a message. For millhand doctor. Uses a key and a channel that no queue has, and leaves
// nothing behind.
import { prefixOf } from '../queue/keys.ts'
import type { Connection } from '../redis/connection.ts'
import { RedisUnavailable } from '../redis/connection.ts'
import { ReplyError } from '../redis/resp.ts'
import type { ServerFinding } from './findings.ts'

export interface TrialOptions {
  commands: Connection
  /** For messages alone. */
  messages: Connection
  /** Its keys are the ones that this user would use. */
  queue: string
}

const WAIT_S = 0.01
const MESSAGE_MS = 2_000
const SCRIPT = `redis.call('TIME') return redis.call('DEL', KEYS[1])`

/** Throws RedisUnavailable where the server does not serve at all. */
export async function tryOut({ commands, messages, queue }: TrialOptions): Promise<ServerFinding[]> {
  const name = `${prefixOf(queue)}nothing`
  return [
    ...(await tried(TRIALS.script, () => commands.call('EVAL', SCRIPT, 1, name))),
    ...(await tried(TRIALS.waiting, () => commands.call('BZPOPMIN', name, WAIT_S))),
    ...(await tried(TRIALS.message, () => heard({ commands, messages, channel: name }))),
  ]
}

interface Trial {
  /** In our own words: both are shown to people. */
  needed: string
  rights: string
}

const TRIALS = {
  script: { needed: 'scripts (EVAL)', rights: '+eval +evalsha' },
  waiting: { needed: 'waiting for work (BZPOPMIN)', rights: '+bzpopmin' },
  message: {
    needed: 'messages (SUBSCRIBE, PUBLISH)',
    rights: '+subscribe +unsubscribe +publish',
  },
} as const satisfies Record<string, Trial>

async function tried(trial: Trial, ask: () => Promise<unknown>): Promise<ServerFinding[]> {
  try {
    const answer = await ask()
    return answer === null || typeof answer === 'number' ? [] : [unfit(trial)]
  } catch (error) {
    if (error instanceof RedisUnavailable && error.code !== 'REDIS_UNAVAILABLE') throw error
    if (error instanceof ReplyError) return refused(trial, error.message)
    return [unfit(trial)]
  }
}

function refused({ needed, rights }: Trial, said: string): ServerFinding[] {
  // The user of another namespace, or of a viewer: nothing is wrong with the server.
  if (/NOPERM.*(key|channel)|user executing the script can't|ACL failure in script/i.test(said)) return []
  if (/^NOPERM/.test(said))
    return [
      {
        check: 'Rights',
        severity: 'note',
        message: `this user may not use ${needed}: it can look, but not work`,
        remedy: `to let it work: redis-cli ACL SETUSER USER ${rights}; docs/redis.md has the whole line`,
      },
    ]
  if (/non deterministic commands/i.test(said))
    return [
      {
        check: 'Version',
        severity: 'problem',
        message: 'scripts may not write after they asked for the time (lua-replicate-commands no)',
        remedy:
          'redis-cli CONFIG SET lua-replicate-commands yes, and the same in its file; or use Redis 7 or newer',
      },
    ]
  return [unfit({ needed, rights })]
}

function unfit({ needed }: Trial): ServerFinding {
  return {
    check: 'Version',
    severity: 'problem',
    message: `the server lacks ${needed}, which a queue needs`,
    remedy:
      'use Redis 6.2, Valkey 7.2 or newer; a compatible server, or one with renamed or disabled commands, needs this too',
  }
}

/** 1, or undefined when no message came. */
async function heard(at: Omit<TrialOptions, 'queue'> & { channel: string }): Promise<number | undefined> {
  const { commands, messages, channel } = at
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  const stop = await messages.subscribe(channel, () => resolve(1))
  const timer = setTimeout(() => resolve(undefined), MESSAGE_MS)
  try {
    await commands.call('PUBLISH', channel, '')
    return await promise
  } finally {
    clearTimeout(timer)
    stop()
  }
}
