// Environment and command line → Config, once. The only place that reads process.env.

import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { LEVELS, type Level } from './log.ts'
import { MOST_SLOTS } from './queue/settings.ts'
import { accessFrom, parseAddress, type RedisAccess } from './redis/address.ts'

/** The worker was started with a wrong setting: one sentence that names it, and the remedy. */
export class ConfigError extends Error {
  readonly code = 'CONFIG'
  override name = 'ConfigError'
}

export type IsolationMode = 'Fork' | 'Spawn' | 'Reuse'

export interface QueueEntry {
  readonly name: string
  readonly weight: number
  /** The name in Redis, where it is not `<namespace>.<name>`. */
  readonly queueName: string | undefined
}

export interface Config {
  readonly redis: RedisAccess
  readonly namespace: string
  readonly queues: readonly QueueEntry[]
  readonly modules: readonly string[]
  readonly slots: number
  readonly isolation: {
    readonly mode: IsolationMode
    readonly jobsPerChild?: number
    readonly jobsAtOncePerChild?: number
    readonly maxMemoryBytes?: number
    /** Packages and files whose random values and open files all forks may share. */
    readonly forkShares?: readonly string[]
  }
  readonly drainTimeoutMs: number
  /** How long the task modules may take to load. */
  readonly loadTimeoutMs: number
  readonly pod: {
    readonly name: string
    readonly uid: string
    readonly poolUid: string
    readonly node: string
  }
  readonly terminationLog: string | undefined
  /** The port of /healthz and /metrics; no port when absent. */
  readonly httpPort: number | undefined
  readonly logLevel: Level
  /**
   * The environment of the children: without Millhand's own variables, which hold the address and credentials
   * of Redis.
   */
  readonly childEnv: Readonly<Record<string, string | undefined>>
}

type Environment = Readonly<Record<string, string | undefined>>

const MODES: readonly IsolationMode[] = ['Fork', 'Spawn', 'Reuse']

/** Throws ConfigError. `files` are the task modules of the command line, relative to the working folder. */
export function readConfig(files: readonly string[], env: Environment = process.env): Config {
  const mode = oneOf(env, 'MILLHAND_ISOLATION', { known: MODES, otherwise: 'Fork' })
  const jobsPerChild = wholeNumber(env, 'MILLHAND_JOBS_PER_CHILD')
  const jobsAtOncePerChild = wholeNumber(env, 'MILLHAND_JOBS_AT_ONCE_PER_CHILD', { most: MOST_SLOTS })
  const maxMemoryBytes = wholeNumber(env, 'MILLHAND_MAX_MEMORY_BYTES')
  const forkShares = env.MILLHAND_FORK_SHARES?.split(',').map((name) => name.trim())
  const uid = env.MILLHAND_POD_UID || randomUUID()
  return {
    redis: redisOf(env),
    namespace: env.MILLHAND_NAMESPACE || 'default',
    queues: queuesOf(env),
    modules: modulesOf(files),
    slots: wholeNumber(env, 'MILLHAND_SLOTS', { most: MOST_SLOTS }) ?? 1,
    isolation: {
      mode,
      ...(jobsPerChild !== undefined && { jobsPerChild }),
      ...(jobsAtOncePerChild !== undefined && { jobsAtOncePerChild }),
      ...(maxMemoryBytes !== undefined && { maxMemoryBytes }),
      ...(forkShares && { forkShares: forkShares.filter(Boolean) }),
    },
    drainTimeoutMs: (wholeNumber(env, 'MILLHAND_DRAIN_TIMEOUT_SECONDS', { least: 0 }) ?? 600) * 1000,
    loadTimeoutMs: loadTimeoutOf(env),
    pod: {
      name: env.MILLHAND_POD_NAME || hostname(),
      uid,
      poolUid: env.MILLHAND_POOL_UID ?? '',
      node: env.MILLHAND_NODE_NAME || hostname(),
    },
    terminationLog:
      env.MILLHAND_TERMINATION_LOG ||
      (existsSync('/dev/termination-log') ? '/dev/termination-log' : undefined),
    httpPort: wholeNumber(env, 'MILLHAND_HTTP_PORT', { most: 65_535 }),
    logLevel: oneOf(env, 'MILLHAND_LOG_LEVEL', { known: LEVELS, otherwise: 'info' }),
    childEnv: childEnvOf(env),
  }
}

/** The settings for loading the task modules. Throws ConfigError. */
export function readModules(
  files: readonly string[],
  env: Environment = process.env,
): Pick<Config, 'modules' | 'childEnv' | 'loadTimeoutMs'> {
  return { modules: modulesOf(files), childEnv: childEnvOf(env), loadTimeoutMs: loadTimeoutOf(env) }
}

/** The defaults of the client's options, from the environment. */
export function fromEnvironment(): { redis: RedisAccess | undefined; namespace: string } {
  return { redis: accessFrom(process.env), namespace: process.env.MILLHAND_NAMESPACE || 'default' }
}

const loadTimeoutOf = (env: Environment) => (wholeNumber(env, 'MILLHAND_LOAD_TIMEOUT_SECONDS') ?? 60) * 1000

function redisOf(env: Environment): RedisAccess {
  const access = accessFrom(env)
  if (!access)
    throw new ConfigError(
      'MILLHAND_REDIS_URL is not set: give the address of Redis, like redis://127.0.0.1:6379',
    )
  try {
    parseAddress(access)
    return access
  } catch (error) {
    throw new ConfigError(`MILLHAND_REDIS_URL ${(error as Error).message}`)
  }
}

function queuesOf(env: Environment): Config['queues'] {
  const text = env.MILLHAND_QUEUES
  if (!text)
    throw new ConfigError('MILLHAND_QUEUES is not set: give the queues to work on, like [{"name":"mail"}]')
  try {
    const found: unknown = JSON.parse(text)
    if (Array.isArray(found) && found.length > 0) return distinct(found.map(queueOf))
  } catch (error) {
    if (error instanceof ConfigError) throw error
  }
  throw new ConfigError(
    `invalid MILLHAND_QUEUES ${JSON.stringify(text)}: use a list of queues as JSON, like [{"name":"mail","weight":1}]`,
  )
}

function distinct(queues: QueueEntry[]): QueueEntry[] {
  const twice = queues.find(({ name }, at) => queues.findIndex((other) => other.name === name) !== at)
  if (!twice) return queues
  throw new ConfigError(`duplicate queue ${twice.name} in MILLHAND_QUEUES: name each queue once`)
}

function queueOf(entry: unknown): QueueEntry {
  const {
    name,
    weight = 1,
    queueName,
  } = (typeof entry === 'object' && entry !== null ? entry : {}) as {
    name?: unknown
    weight?: unknown
    queueName?: unknown
  }
  if (typeof name !== 'string' || typeof weight !== 'number' || !(weight >= 1))
    throw new ConfigError(
      `invalid entry ${JSON.stringify(entry)} in MILLHAND_QUEUES: use an object like {"name":"mail","weight":1}`,
    )
  if (queueName !== undefined && typeof queueName !== 'string')
    throw new ConfigError(
      `invalid queueName ${JSON.stringify(queueName)} in MILLHAND_QUEUES: use the name in Redis, like "default.mail"`,
    )
  return { name, weight, queueName }
}

function modulesOf(files: readonly string[]): string[] {
  if (files.length === 0)
    throw new ConfigError('no task file is given: name the files that define tasks, like tasks.ts')
  return files.map((file) => {
    const path = resolve(file)
    if (!existsSync(path)) throw new ConfigError(`the task file ${file} does not exist`)
    return path
  })
}

function childEnvOf(env: Environment): Config['childEnv'] {
  const kept = Object.entries(env).filter(
    ([name]) => name === 'MILLHAND_NAMESPACE' || !name.startsWith('MILLHAND_'),
  )
  return Object.fromEntries(kept)
}

function oneOf<T extends string>(
  env: Environment,
  name: string,
  { known, otherwise }: { known: readonly T[]; otherwise: T },
): T {
  const text = env[name]
  if (!text) return otherwise
  const found = known.find((value) => value === text)
  if (found) return found
  throw new ConfigError(`invalid ${name} ${JSON.stringify(text)}: use one of ${known.join(', ')}`)
}

function wholeNumber(
  env: Environment,
  name: string,
  { least = 1, most = Number.MAX_SAFE_INTEGER }: { least?: number; most?: number } = {},
): number | undefined {
  const text = env[name]
  if (!text) return undefined
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  const range = most < Number.MAX_SAFE_INTEGER ? `from ${least} to ${most}` : `of at least ${least}`
  throw new ConfigError(`invalid ${name} ${JSON.stringify(text)}: use a whole number ${range}`)
}
