// Watches the memory of busy children and their descendants, twice a second: each against its limit, all
// together against the limit of the container. Linux only; elsewhere it does nothing. With cgroup v2 the
// kernel may end the whole container for one child, so the watch ends the biggest child before that.
import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import type { Log } from '../log.ts'
import type { Child } from './child.ts'
import { descendantsOf } from './descendants.ts'
import type { Usage } from './messages.ts'

const EVERY_MS = 500
const NEAR_LIMIT = 0.88
const SPENT_AT = 0.8
const SHARE_FOR_CHILDREN = 0.85
const SMALLEST_SHARE_BYTES = 256 * 2 ** 20
/** A process with much memory takes a while to go, on a busy machine seconds. */
const KILL_SEEN_WITHIN_MS = 5_000
const CPU_TICK_MS = 10 // USER_HZ is 100 on every Linux that Node runs on

/** The limit and the usage of the container. */
export interface Container {
  limitBytes: number
  usedBytes(): number | undefined
  /** How many processes the kernel has ended for lack of memory. */
  oomKills(): number
}

export interface WatchOptions {
  children: Iterable<Child>
  maxMemoryBytes: number | undefined
  container: Container | undefined
  log: Log
}

export class MemoryWatch {
  readonly #options: WatchOptions
  readonly #timer: NodeJS.Timeout
  /** The kernel's count at the last look, and when a look found that it had risen. */
  #oomKills: number
  #killedAtMs = Number.NEGATIVE_INFINITY

  constructor(options: WatchOptions) {
    this.#options = options
    this.#oomKills = options.container?.oomKills() ?? 0
    this.#timer = setInterval(() => this.#look(), EVERY_MS)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /**
   * Whether the kernel has ended processes of the container in the last seconds. It does not tell which ones.
   */
  hasKernelKilled(): boolean {
    this.#countOomKills()
    return performance.now() - this.#killedAtMs < KILL_SEEN_WITHIN_MS
  }

  #countOomKills(): void {
    const oomKills = this.#options.container?.oomKills() ?? 0
    if (oomKills > this.#oomKills) this.#killedAtMs = performance.now()
    this.#oomKills = oomKills
  }

  #look(): void {
    this.#countOomKills()
    const busy = [...this.#options.children].filter((child) => child.attempts.size > 0 && !child.ending)
    for (const child of busy) this.#lookAt(child)
    this.#lookAtContainer(busy)
  }

  #lookAt(child: Child): void {
    const seen = readUsage(child.pid)
    if (!seen) return
    child.sample = seen.usage
    const { maxMemoryBytes } = this.#options
    if (maxMemoryBytes === undefined) return
    const below = bytesBelow(child.pid)
    const bytes = seen.rssBytes + below
    const what = below > 0 ? 'the child and what it has started' : 'the child'
    if (bytes > maxMemoryBytes)
      endForMemory(child, `${what} used ${bytes} bytes of memory; ${maxMemoryBytes} are allowed`)
    else if (bytes > maxMemoryBytes * SPENT_AT) child.isSpent = true
  }

  #lookAtContainer(busy: Child[]): void {
    const { container, log } = this.#options
    const usedBytes = container?.usedBytes()
    if (!container || usedBytes === undefined || usedBytes < container.limitBytes * NEAR_LIMIT) return
    const biggest = busy
      .map((child) => ({ child, rssBytes: (readUsage(child.pid)?.rssBytes ?? 0) + bytesBelow(child.pid) }))
      .sort((one, other) => other.rssBytes - one.rssBytes)[0]
    if (!biggest) return
    const { limitBytes } = container
    log.warn('the container is nearly out of memory; ending the biggest child', { usedBytes, limitBytes })
    endForMemory(
      biggest.child,
      `the container uses ${usedBytes} of its ${limitBytes} bytes of memory, and this child the most`,
    )
  }
}

/**
 * The default limit of a child: its share of the container, but enough for Node.
 */
export function defaultMaxMemoryBytes(
  container: Container | undefined,
  children: number,
): number | undefined {
  if (!container) return
  const forChildren = container.limitBytes * SHARE_FOR_CHILDREN
  return Math.floor(Math.min(forChildren, Math.max(forChildren / children, SMALLEST_SHARE_BYTES)))
}

/**
 * The lowest limit of this process' cgroups; v2, else v1. Undefined without a limit.
 */
export function findContainer({
  root = '/sys/fs/cgroup',
  self = '/proc/self/cgroup',
} = {}): Container | undefined {
  const lines = (read(self) ?? '')
    .trim()
    .split('\n')
    .map((line) => line.split(':'))
  const unified = lines.find(([id, controllers]) => id === '0' && controllers === '')?.[2]
  const memory = lines.find(([, controllers]) => controllers?.split(',').includes('memory'))?.[2]
  return tightest(root, unified, V2) ?? tightest(join(root, 'memory'), memory, V1)
}

interface Names {
  limit: string
  used: string
  inactiveFile: string
  oomKills: string
}

const V2: Names = {
  limit: 'memory.max',
  used: 'memory.current',
  inactiveFile: 'inactive_file',
  oomKills: 'memory.events',
}
const V1: Names = {
  limit: 'memory.limit_in_bytes',
  used: 'memory.usage_in_bytes',
  inactiveFile: 'total_inactive_file',
  oomKills: 'memory.oom_control',
}

function tightest(root: string, path: string | undefined, names: Names): Container | undefined {
  if (path === undefined) return
  let best: Container | undefined
  for (let folder = join('/', path); ; folder = dirname(folder)) {
    const found = containerAt(join(root, folder), names)
    if (found && (!best || found.limitBytes < best.limitBytes)) best = found
    if (folder === '/') return best
  }
}

function containerAt(folder: string, names: Names): Container | undefined {
  const limitBytes = Number(read(join(folder, names.limit)) ?? Number.NaN)
  if (!(limitBytes > 0 && limitBytes < totalmem())) return
  return {
    limitBytes,
    usedBytes() {
      const used = read(join(folder, names.used))
      // The kernel drops inactive file pages before it kills a process.
      if (used !== undefined)
        return Number(used) - numberAfter(names.inactiveFile, read(join(folder, 'memory.stat')))
    },
    oomKills: () => numberAfter('oom_kill', read(join(folder, names.oomKills))),
  }
}

function endForMemory(child: Child, message: string): void {
  // A result that has arrived is read first.
  setImmediate(() => {
    // It is unknown which of several attempts needs the memory (neighbours.ts).
    if (child.attempts.size > 1) child.kill('SIGKILL')
    else for (const attempt of child.attempts.all()) attempt.kill({ kind: 'out-of-memory', message })
  })
}

/** The memory of all descendants, without shared pages. */
function bytesBelow(pid: number): number {
  return descendantsOf(pid)
    .map((below) => numberAfter('RssAnon:', read(`/proc/${below}/status`)) * 1024)
    .reduce((sum, bytes) => sum + bytes, 0)
}

/** The usage of a process now. Undefined without /proc, or without the process. */
export function readUsage(pid: number): { rssBytes: number; usage: Usage } | undefined {
  const status = read(`/proc/${pid}/status`)
  const stat = read(`/proc/${pid}/stat`)
  // An ending process has no memory any more.
  if (!status?.includes('VmRSS:') || stat === undefined) return
  const [userTicks, systemTicks] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13)
  return {
    rssBytes: numberAfter('VmRSS:', status) * 1024,
    usage: {
      maxRssBytes: numberAfter('VmHWM:', status) * 1024,
      cpuUserMs: Number(userTicks) * CPU_TICK_MS,
      cpuSystemMs: Number(systemTicks) * CPU_TICK_MS,
    },
  }
}

function numberAfter(word: string, text: string | undefined): number {
  const line = text
    ?.split('\n')
    .map((candidate) => candidate.split(/\s+/))
    .find(([first]) => first === word)
  return Number(line?.[1] ?? 0)
}

/** A file of /proc or /sys, which may be gone. */
export function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
