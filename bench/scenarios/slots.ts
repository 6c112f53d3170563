// How many jobs at once each peer gets in scenarios that want each one at its best on a small machine.
import { availableParallelism } from 'node:os'

/**
 * Peers with a process for each job at once would only slow themselves down with more than twice the cores.
 */
const PROCESSES = /sandboxed|celery|pool|fork$|spawn$|simple|rq$/

export const hasProcesses = (peer: string): boolean => PROCESSES.test(peer)

export function slotsOf(peer: string, slots = 32): number {
  return hasProcesses(peer) ? 2 * availableParallelism() : slots
}
