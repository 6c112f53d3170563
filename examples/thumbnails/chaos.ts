// Kills workers and their children with SIGKILL, at random times, while the demo works: what a crash, an out-of-memory kill or a
// lost node does.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { setTimeout as after } from 'node:timers/promises'

export interface Kills {
  workers: number
  children: number
}

const LONGEST_PAUSE_MS = 500
/** A worker that dies again and again is started later and later; the demo shall end some time. */
const MOST_WORKERS = 5
const BETWEEN_WORKERS_MS = 3_000

/** Until `signal` is aborted, or `most` processes were killed: a child, a worker, and then by chance. */
export async function killAtRandom(
  workerPids: () => number[],
  most: number,
  signal: AbortSignal,
): Promise<Kills> {
  const kills: Kills = { workers: 0, children: 0 }
  let noWorkerBeforeMs = 0
  while (!signal.aborted && kills.workers + kills.children < most) {
    const workers = workerPids()
    const children = childrenOf(workers)
    const mayBeWorker = kills.workers < MOST_WORKERS && performance.now() >= noWorkerBeforeMs
    if (
      mayBeWorker &&
      children.length > 0 &&
      kills.children > 0 &&
      (kills.workers === 0 || Math.random() < 0.2)
    ) {
      kills.workers += kill(oneOf(workers))
      noWorkerBeforeMs = performance.now() + BETWEEN_WORKERS_MS
    } else {
      kills.children += kill(oneOf(olderHalf(children)))
    }
    await after(LONGEST_PAUSE_MS * Math.random(), undefined, { signal }).catch(() => {})
  }
  return kills
}

function kill(pid: number | undefined): number {
  if (pid === undefined) return 0
  try {
    process.kill(pid, 'SIGKILL')
    return 1
  } catch {
    // It ended by itself, a moment ago.
    return 0
  }
}

/** The Node processes below the workers: those that run jobs, or wait for one. */
function childrenOf(workers: readonly number[]): number[] {
  const processes = existsSync('/proc/self/stat') ? fromProc() : fromPs()
  const found: number[] = []
  const parents = [...workers]
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const each of processes) {
      if (each.parent !== parent) continue
      parents.push(each.pid)
      if (/node|MainThread/.test(each.name)) found.push(each.pid)
    }
  }
  return found
}

interface Process {
  pid: number
  parent: number
  name: string
}

function fromProc(): Process[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.flatMap((pid) => {
    try {
      const [, name = '', parent] = /\((.*)\) . (\d+)/s.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
      return [{ pid: Number(pid), parent: Number(parent), name }]
    } catch {
      return []
    }
  })
}

function fromPs(): Process[] {
  const lines = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,comm='], { encoding: 'utf8' }).trim().split('\n')
  return lines.map((line) => {
    const [pid, parent, ...name] = line.trim().split(/\s+/)
    return { pid: Number(pid), parent: Number(parent), name: name.join(' ') }
  })
}

/** Those that were started last still load their modules; it is no fun to kill them. */
function olderHalf(pids: readonly number[]): number[] {
  return [...pids].sort((a, b) => a - b).slice(0, Math.ceil(pids.length / 2))
}

function oneOf<T>(things: readonly T[]): T | undefined {
  return things[Math.floor(Math.random() * things.length)]
}
