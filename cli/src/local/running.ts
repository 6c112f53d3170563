// One `millhand up` runs per folder. It writes the addresses of its Redis and of its dashboard into
// .millhand/up.json, where other commands of this user find them from this folder and its subfolders.
import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

export interface RunningUp {
  redisUrl: string
  pid: number
  namespace: string
  /** With the token that signs in; absent where it serves none. */
  dashboardUrl?: string
}

/** Another `millhand up` runs in this folder. */
export class AlreadyRunning extends Error {
  override name = 'AlreadyRunning'
  readonly pid: number
  constructor(folder: string, pid: number) {
    super(`millhand up runs already in ${folder} (process ${pid}); stop it first, or use another folder`)
    this.pid = pid
  }
}

export interface Claim {
  /** Writes the file: from now on other commands find this `up`. */
  announce: (redisUrl: string, dashboardUrl?: string) => void
  release: () => void
}

/** A RunningUp; without the address while Redis starts. */
interface Entry extends Omit<RunningUp, 'redisUrl'> {
  redisUrl?: string
  /** Tells a process from a later one with the same pid. */
  startedAt: string
}

const OURS = '.millhand'

/** Throws AlreadyRunning. */
export function claimFolder(folder: string, { pid, namespace }: Omit<RunningUp, 'redisUrl'>): Claim {
  mkdirSync(join(folder, OURS), { recursive: true, mode: 0o700 })
  const file = fileIn(folder)
  const entry: Entry = { pid, namespace, startedAt: startOf(pid) }
  for (;;) {
    try {
      writeFileSync(file, JSON.stringify(entry), { flag: 'wx', mode: 0o600 })
      break
    } catch (error) {
      if (!isCode(error, 'EEXIST')) throw error
      const other = readEntry(file)
      if (other && isAlive(other)) throw new AlreadyRunning(folder, other.pid)
      // Left behind by an `up` that was killed.
      rmSync(file, { force: true })
    }
  }
  return {
    announce(redisUrl, dashboardUrl) {
      const temporary = `${file}.${pid}`
      writeFileSync(temporary, JSON.stringify({ ...entry, redisUrl, dashboardUrl }), { mode: 0o600 })
      renameSync(temporary, file)
    },
    release: () => rmSync(file, { force: true }),
  }
}

/** The `millhand up` that runs in this folder or in one above it. */
export function findRunning(folder: string): RunningUp | undefined {
  const entry = readEntry(fileIn(folder))
  if (entry?.redisUrl && isAlive(entry)) {
    const { redisUrl, pid, namespace, dashboardUrl } = entry
    return { redisUrl, pid, namespace, ...(dashboardUrl !== undefined && { dashboardUrl }) }
  }
  const above = dirname(folder)
  return above === folder ? undefined : findRunning(above)
}

/** Each resource of this folder has the same UID after a restart, so that `up` owns its queues again. */
export function stableUids(folder: string): (kind: string, namespace: string, name: string) => string {
  const file = join(folder, OURS, 'id')
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 })
  try {
    writeFileSync(file, randomUUID(), { flag: 'wx', mode: 0o600 })
  } catch (error) {
    if (!isCode(error, 'EEXIST')) throw error
  }
  const id = readFileSync(file, 'utf8').trim()
  return (kind, namespace, name) => uuidOf(`${id} ${kind} ${namespace}/${name}`)
}

function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  )
}

function fileIn(folder: string): string {
  return join(folder, OURS, 'up.json')
}

function readEntry(file: string): Entry | undefined {
  try {
    const found: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (typeof found !== 'object' || found === null) return undefined
    const { pid, namespace, startedAt, redisUrl, dashboardUrl } = found as Record<string, unknown>
    if (typeof pid !== 'number' || typeof namespace !== 'string' || typeof startedAt !== 'string')
      return undefined
    return {
      ...{ pid, namespace, startedAt },
      ...(typeof redisUrl === 'string' && { redisUrl }),
      ...(typeof dashboardUrl === 'string' && { dashboardUrl }),
    }
  } catch {
    return undefined
  }
}

function isAlive({ pid, startedAt }: Entry): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (!isCode(error, 'EPERM')) return false
  }
  return startOf(pid) === startedAt
}

/** In ticks since the machine started. Empty without /proc: then the pid alone identifies the process. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The name in parentheses may contain anything; the 22nd field is the 20th after it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? ''
  } catch {
    return ''
  }
}

function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code
}
