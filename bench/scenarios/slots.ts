// How many jobs at once each peer gets in scenarios that compare the best settings on a small machine.
import { availableParallelism } from 'node:os'

/**
 * A peer with a process for each job at once gets slower with more than two processes a core.
 */
const PROCESSES = /sandboxed|celery|pool|fork$|spawn$|simple|rq$/

export const hasProcesses = (peer: string): boolean => PROCESSES.test(peer)

export function slotsOf(peer: string, slots = 32): number {
  return hasProcesses(peer) ? 2 * availableParallelism() : slots
}
