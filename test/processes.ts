// Processes seen from the outside, in /proc: any of them may end between two looks.
import { readdirSync, readFileSync } from 'node:fs'

/** Of the whole machine. */
export function allPids(): number[] {
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
export function sendSignal(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    return false
  }
}
