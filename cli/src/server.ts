// The Redis and the namespace of a command, with their options. All commands but `up` and `worker` use
// withServer.

import type { Command } from 'commander'
import {
  type Connection,
  connectRedis,
  openQueue,
  parseAddress,
  type Queue,
  queueName,
  type RedisAccess,
} from 'millhand/queue'
import { CommandFailed, type Context } from './context.ts'
import { findRunning, type RunningUp } from './local/running.ts'

export interface ServerOptions {
  redis?: string
  namespace?: string
}

export interface Address {
  readonly redis: RedisAccess
  readonly namespace: string
  /** false: nothing names the namespace, so it is `default`. */
  readonly isNamespaceGiven: boolean
}

export interface Server extends Omit<Address, 'redis'> {
  readonly redis: Connection
  /** A connection for subscriptions only. */
  messages(): Connection
  /** The queue of a TaskQueue by its name; the namespace is that of the command. */
  queue(name: string): Queue
}

/** A person waits: a longer timeout looks like a hang. */
export const DEADLINE_MS = 4_000

export function withServerOptions(command: Command): Command {
  return command
    .option(
      '--redis <url>',
      'where the queues live; default: MILLHAND_REDIS_URL, else the millhand up of this folder',
    )
    .option(
      '--namespace <name>',
      'the namespace of the queues; default: MILLHAND_NAMESPACE, else that of millhand up, else "default"',
    )
}

/** Throws CommandFailed when no address is given and no `up` runs here. */
export function addressOf(
  options: ServerOptions,
  context: Pick<Context, 'config' | 'workingFolder'>,
): Address {
  const running = findRunning(context.workingFolder)
  const redis = accessOf(options, context.config) ?? (running && { url: running.redisUrl })
  if (redis === undefined) {
    throw new CommandFailed(
      'no Redis is given, and no millhand up runs in this folder: start millhand up here, or give --redis URL or MILLHAND_REDIS_URL, like redis://127.0.0.1:6379',
    )
  }
  const given = options.namespace ?? context.config.namespace ?? namespaceOf(running, redis)
  return {
    redis: checkedAccess(redis),
    namespace: given ?? 'default',
    isNamespaceGiven: (options.namespace ?? context.config.namespace) !== undefined,
  }
}

/** Connects, does the work, and always closes the connection. */
export async function withServer<T>(
  options: ServerOptions,
  context: Context,
  work: (server: Server) => Promise<T>,
): Promise<T> {
  const address = addressOf(options, context)
  const redis = connectRedis(address.redis, { name: 'millhand-cli', deadlineMs: DEADLINE_MS })
  let messages: Connection | undefined
  try {
    await redis.ready()
    return await work({
      ...address,
      redis,
      messages() {
        messages ??= connectRedis(address.redis, { name: 'millhand-cli-messages', deadlineMs: DEADLINE_MS })
        return messages
      },
      queue: (name) => openQueue(redis, queueName(address.namespace, name)),
    })
  } finally {
    messages?.close()
    redis.close()
  }
}

/** Certificates come from the environment; a URL with TLS uses them. */
export function accessOf(
  { redis }: ServerOptions,
  { redis: known, certificates }: Context['config'],
): RedisAccess | undefined {
  if (redis === undefined) return known
  return redis.startsWith('rediss') ? { ...certificates, url: redis } : { url: redis }
}

/** The message does not repeat the URL: it may hold a password. */
export function checkedAccess(access: RedisAccess): RedisAccess {
  try {
    parseAddress(access)
    return access
  } catch (error) {
    throw new CommandFailed(`the address of Redis ${(error as Error).message}`)
  }
}

/** The namespace of a running `up` is only for its own Redis. */
function namespaceOf(running: RunningUp | undefined, { url }: RedisAccess): string | undefined {
  return running?.redisUrl === url ? running.namespace : undefined
}
