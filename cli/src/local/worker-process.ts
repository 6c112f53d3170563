// One worker process, in place of a pod: it gets the environment of the pool, and is watched until it ends.
//
//   starting → ready → stopping → ended          died: ended without having been told to
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { workerVariables } from '@millhand/control/decide/worker-environment'
import { accessVariables, type RedisAccess, reasonOf } from 'millhand/queue'
import { ONE_REQUEST_MS } from 'millhand/stop-requests'
import type { WorkerLogEntry } from './events.ts'
import type { Guard } from './guard.ts'
import type { LocalPool } from './manifests.ts'

export interface WorkerProcess {
  readonly pid: number
  readonly podUid: string
  /** `<pool>-<n>`. */
  readonly podName: string
  readonly startedAtMs: number
  isReady: boolean
  /** It was told to stop. */
  isStopping: boolean
  /** It finishes the running jobs. */
  stop(): void
  /**
   * After `stop`: it hands its jobs back. Repeated until it ends, because signals that come together are one.
   */
  handBack(): void
  kill(): void
  readonly ended: Promise<Ending>
}

export interface Ending {
  code: number | null
  signal: string | null
  /** Its process name in Redis; absent when it ended before it wrote that. */
  processName?: string
  /** Its last lines on stderr. */
  lastWords: string
}

export interface WorkerPlan {
  taskModules: string[]
  env: Record<string, string>
}

export interface WorkerProcessOptions {
  plan: WorkerPlan
  podName: string
  podUid: string
  /** The worker creates this file and writes its process name into it. */
  terminationLog: string
  startedAtMs: number
  guard: Guard
  onLine: (stream: 'stdout' | 'stderr', line: string, entry: WorkerLogEntry | undefined) => void
}

/** The exit code of a worker with an invalid configuration. */
export const MISCONFIGURED = 78

const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts')
const LAST_LINES = 20

/** Only loads the task modules of a plan: tells early whether workers can start. */
export function startCheck(
  { taskModules, env }: WorkerPlan,
  guard: Guard,
): Pick<WorkerProcess, 'kill' | 'ended'> {
  const child = spawn(process.execPath, [...workerArguments(), '--check', ...taskModules], {
    env,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  child.on('error', () => {})
  const pid = child.pid ?? 0
  if (pid > 0) guard.watch(pid)
  const lastLines = linesKept(child)
  return {
    kill: () => child.kill('SIGKILL'),
    ended: endingOf(child, undefined, lastLines).finally(() => guard.forget(pid)),
  }
}

export function startWorkerProcess(options: WorkerProcessOptions): WorkerProcess {
  const { plan, podName, podUid, terminationLog, startedAtMs, guard } = options
  const identity = {
    MILLHAND_POD_NAME: podName,
    MILLHAND_POD_UID: podUid,
    MILLHAND_TERMINATION_LOG: terminationLog,
  }
  const child = spawn(process.execPath, [...workerArguments(), ...plan.taskModules], {
    env: { ...plan.env, ...identity },
    // A session of its own: Ctrl-C must not reach the worker, which finishes its jobs.
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.on('error', () => {}) // a failed start is told by endingOf; a failed signal is followed by the next one
  const pid = child.pid ?? 0
  if (pid > 0) guard.watch(pid)
  const lastLines = linesKept(child, (line) => options.onLine('stderr', line, undefined))

  const worker: WorkerProcess = {
    pid,
    podUid,
    podName,
    startedAtMs,
    isReady: false,
    isStopping: false,
    stop() {
      worker.isStopping = true
      child.kill('SIGTERM')
    },
    handBack() {
      child.kill('SIGTERM')
      const again = setInterval(() => child.kill('SIGTERM'), ONE_REQUEST_MS / 2)
      void worker.ended.then(() => clearInterval(again))
    },
    kill() {
      worker.isStopping = true
      child.kill('SIGKILL')
    },
    ended: endingOf(child, terminationLog, lastLines).finally(() => guard.forget(pid)),
  }
  readLines(child, 'stdout', (line) => {
    const entry = parseEntry(line)
    if (entry?.message === 'worker ready') worker.isReady = true
    options.onLine('stdout', line, entry)
  })
  return worker
}

function workerArguments(): string[] {
  const entry = fileURLToPath(import.meta.resolve('millhand/worker'))
  return RUNS_FROM_SOURCE ? ['--conditions=millhand-source', entry] : [entry]
}

/** The last lines of its stderr. */
function linesKept(child: ChildProcess, onLine: (line: string) => void = () => {}): string[] {
  const kept: string[] = []
  readLines(child, 'stderr', (line) => {
    kept.push(line)
    if (kept.length > LAST_LINES) kept.shift()
    onLine(line)
  })
  return kept
}

/** The environment of a worker without its identity. */
export function environmentOf(
  { pool, queueNames }: Pick<LocalPool, 'pool' | 'queueNames'>,
  { own, variables, redis, poolUid }: EnvironmentSources,
): Record<string, string> {
  // The worker adds the namespace to these names.
  const prefix = `${pool.metadata.namespace}.`
  const queues = pool.queues.map(({ name, weight }, index) => {
    return { name: queueNames[index]?.slice(prefix.length) ?? name, weight }
  })
  const env = {
    ...withoutOurs(own),
    MILLHAND_LOAD_TIMEOUT_SECONDS: own.MILLHAND_LOAD_TIMEOUT_SECONDS,
    ...variables,
    ...accessVariables(redis),
    ...workerVariables(pool, queues, poolUid),
    MILLHAND_LOG_LEVEL: own.MILLHAND_LOG_LEVEL,
  }
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  )
}

export interface EnvironmentSources {
  /** From the environment of the caller: PATH, HOME and others. */
  own: Readonly<Record<string, string | undefined>>
  /** From the manifest. */
  variables: Readonly<Record<string, string>>
  redis: RedisAccess
  poolUid: string
}

export function describeEnding({ code, signal }: Ending): string {
  return signal ? `the worker process was killed by ${signal}` : `the worker process exited with code ${code}`
}

function withoutOurs(own: EnvironmentSources['own']): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(own).filter(([name]) => !name.startsWith('MILLHAND_')))
}

async function endingOf(
  child: ChildProcess,
  terminationLog: string | undefined,
  lastLines: string[],
): Promise<Ending> {
  const closed = once(child, 'close').catch(() => {})
  let code: number | null = null
  let signal: string | null = null
  try {
    const [exitCode, exitSignal] = await once(child, 'exit')
    code = typeof exitCode === 'number' ? exitCode : null
    signal = typeof exitSignal === 'string' ? exitSignal : null
  } catch (error) {
    return { code: null, signal: null, lastWords: `it could not be started: ${reasonOf(error)}` }
  }
  // Its last lines may still be in the pipe, but a grandchild may keep that pipe open for ever.
  await Promise.race([closed, after(200, undefined, { ref: false })])
  const processName = terminationLog && readOnce(terminationLog)
  return { code, signal, lastWords: lastLines.join('\n'), ...(processName && { processName }) }
}

function readOnce(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return undefined
  } finally {
    rmSync(file, { force: true })
  }
}

function readLines(child: ChildProcess, stream: 'stdout' | 'stderr', onLine: (line: string) => void): void {
  const input = child[stream]
  if (input)
    createInterface({ input })
      .on('line', onLine)
      .on('error', () => {})
}

function parseEntry(line: string): WorkerLogEntry | undefined {
  if (!line.startsWith('{')) return undefined
  try {
    const entry: unknown = JSON.parse(line)
    const isEntry = typeof entry === 'object' && entry !== null && 'message' in entry && 'level' in entry
    return isEntry && typeof entry.message === 'string' && typeof entry.level === 'string'
      ? { ...entry, message: entry.message, level: entry.level }
      : undefined
  } catch {
    return undefined
  }
}
