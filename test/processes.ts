// Processes seen from the outside, in /proc: any of them may end between two looks.
import { existsSync, readdirSync, readFileSync } from 'node:fs'

const HAS_PROC = existsSync('/proc/self')

/** Of the whole machine; none where there is no /proc. */
export function allPids(): number[] {
  if (!HAS_PROC) return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** A file of a process in /proc; empty when it has ended. */
export function procText(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return ''
  }
}

/** A zombie does not live: it only waits to be looked at. */
export function isAlive(pid: number): boolean {
  if (!HAS_PROC) return sendSignal(pid, 0)
  const status = procText(pid, 'status')
  return status !== '' && !/^State:\s+[ZX]/m.test(status)
}

/** Zombies too. */
export function childrenOf(pid: number): number[] {
  return procText(pid, `task/${pid}/children`).split(' ').filter(Boolean).map(Number)
}

/** Each before its own children. */
export function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)])
}

/** Whether it was there. */
export function sendSignal(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    return false
  }
}
