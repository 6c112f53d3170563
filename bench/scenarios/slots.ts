// How many jobs at once each peer gets where a scenario wants each one at its best on a small machine.
import { availableParallelism } from 'node:os'

/** Those with a process for each job at once would only get in their own way with more than twice the cores. */
const PROCESSES = /sandboxed|celery|pool|fork$|spawn$|simple|rq$/

export const hasProcesses = (peer: string): boolean => PROCESSES.test(peer)

export function slotsOf(peer: string, slots = 32): number {
  return hasProcesses(peer) ? 2 * availableParallelism() : slots
}
