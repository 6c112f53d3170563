// The processes of a round: talks to a peer's programs line by line, adds up the cost of process trees, and
// ends all processes by their ids, also when the bench is interrupted. Used by the runner and the steps.
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Answer, Order } from './peer.ts'

/** Must be stopped when the bench ends. */
export interface Stoppable {
  stop(): Promise<void>
}

const living = new Set<Stoppable>()

export function remember(thing: Stoppable): void {
  living.add(thing)
}

export function forget(thing: Stoppable): void {
  living.delete(thing)
}

export async function stopEverything(): Promise<void> {
  await Promise.allSettled([...living].map((thing) => thing.stop()))
}

/** At SIGINT, SIGTERM and SIGHUP: stops all processes, then exits. */
export function stopWhenInterrupted(onStop = (): void => {}): void {
  let isStopping = false
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => {
      if (isStopping) return
      isStopping = true
      onStop()
      void stopEverything().then(() => process.exit(130))
    })
}

const folders = new Set<string>()
process.once('exit', () => {
  for (const folder of folders) removeFolder(folder)
})

/** Removed at the latest when this process ends. `begin`: the beginning of its path. */
export function temporaryFolder(begin: string = join(tmpdir(), 'millhand-bench-')): string {
  const folder = mkdtempSync(begin)
  folders.add(folder)
  return folder
}

export function removeFolder(folder: string): void {
  // A process that was just killed may have written another file.
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  folders.delete(folder)
}

const STOP_PATIENCE_MS = 15_000

/** A program does not answer, or no job is settled: the round ends. */
export class StoodStill extends Error {
  override readonly name = 'StoodStill'
}

/** One producer or worker of a peer. */
export class Program implements Stoppable {
  readonly child: ChildProcess
  readonly #what: string
  readonly #answers: string[] = []
  readonly #ended: Promise<void>
  #hasEnded = false
  #stopping: Promise<void> | undefined
  #said = ''
  #wake = () => {}

  constructor(child: ChildProcess, what: string) {
    this.child = child
    this.#what = what
    remember(this)
    this.#ended = new Promise((resolve) => {
      const end = () => {
        this.#hasEnded = true
        this.#wake()
        resolve()
      }
      child.once('exit', end)
      child.once('error', (error) => {
        this.#said += String(error)
        end()
      })
    })
    child.stdin?.on('error', () => {})
    this.#listen()
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  async ready(withinMs = 60_000): Promise<this> {
    const line = await this.line(withinMs)
    if (!line.includes('"ready"')) throw new Error(`${this.#what} was to be ready but said: ${line}`)
    return this
  }

  async ask(order: Order, withinMs = 300_000): Promise<Answer> {
    this.child.stdin?.write(`${JSON.stringify(order)}\n`)
    return JSON.parse(await this.line(withinMs))
  }

  /** Throws with its last words when it has ended by itself. */
  mustLive(): void {
    if (this.#hasEnded) throw new Error(`${this.#what} ended: ${this.#said.trim()}`)
  }

  /** SIGTERM, then SIGKILL after a timeout; also for the processes that it leaves behind. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    const family = treeOf(this.pid)
    if (!this.#hasEnded) {
      this.child.kill('SIGTERM')
      const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_PATIENCE_MS)
      await this.#ended
      clearTimeout(timer)
    }
    endThose(family)
    forget(this)
  }

  #listen(): void {
    let rest = ''
    this.child.stdout?.on('data', (chunk: Buffer) => {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (/^\{"(ready|ms|unsupported|startedAtMicros|latenciesMs)"/.test(line)) this.#answers.push(line)
        else this.#said = `${this.#said}${line}\n`.slice(-2_000)
      }
      this.#wake()
    })
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.#said = (this.#said + chunk).slice(-2_000)
    })
  }

  /** The next line that is an answer. */
  async line(withinMs: number): Promise<string> {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#wake()
    }, withinMs)
    try {
      for (;;) {
        const line = this.#answers.shift()
        if (line !== undefined) return line
        this.mustLive()
        if (isLate) throw new StoodStill(`${this.#what} was silent for ${withinMs} ms: ${this.#said.trim()}`)
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      clearTimeout(timer)
    }
  }
}

interface Row {
  readonly parent: number
  readonly startedAt: string
  readonly isZombie: boolean
  readonly cpuMicros: number
  readonly rssBytes: number
}

const MICROS_A_TICK = 10_000
const PAGE_BYTES = 4_096

/**
 * All processes of the machine, from /proc: the cheapest way that sees the processes that threads have
 * started.
 */
function processTable(): Map<number, Row> {
  const table = new Map<number, Row>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0)
      table.set(Number(name), {
        parent: Number(fields[1]),
        startedAt: fields[19] ?? '',
        isZombie: fields[0] === 'Z',
        cpuMicros: ticks * MICROS_A_TICK,
        rssBytes: Number(fields[21]) * PAGE_BYTES,
      })
    } catch {
      // It ended between the two reads.
    }
  }
  return table
}

/**
 * The process and all below it, with when each started: a process id alone may later belong to another
 * process.
 */
export function treeOf(pid: number, table = processTable()): Map<number, Row> {
  const found = new Map<number, Row>()
  const add = (each: number) => {
    const row = table.get(each)
    if (!row || found.has(each)) return
    found.set(each, row)
    for (const [child, { parent }] of table) if (parent === each) add(child)
  }
  if (pid > 0) add(pid)
  return found
}

export interface TreeUse {
  readonly cpuMicros: number
  /** RSS of the process itself, and the sum of all, which counts shared pages for each. */
  readonly rssOwnBytes: number
  readonly rssBytes: number
  readonly zombies: number
  readonly pids: number[]
}

/**
 * The processor time of a tree, with children that have ended: a parent that waits for a child inherits its
 * time. Only the time of a child that no parent waited for is missing.
 */
export function treeUse(pid: number): TreeUse {
  const rows = [...treeOf(pid)]
  const sum = (of: (row: Row) => number) => rows.reduce((total, [, row]) => total + of(row), 0)
  return {
    cpuMicros: sum((row) => row.cpuMicros),
    rssOwnBytes: rows[0]?.[1].rssBytes ?? 0,
    rssBytes: sum((row) => row.rssBytes),
    zombies: sum((row) => (row.isZombie ? 1 : 0)),
    pids: rows.map(([each]) => each),
  }
}

/** Kills these processes, unless another one has the pid now. */
export function endThose(family: Map<number, { startedAt: string }>): void {
  const table = processTable()
  for (const [pid, { startedAt }] of family) {
    if (table.get(pid)?.startedAt !== startedAt) continue
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It has ended already.
    }
  }
}
