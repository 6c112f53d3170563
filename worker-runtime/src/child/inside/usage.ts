// What a child has used, told with the result of its job. The few milliseconds after it (listeners for the
// end, the process's own end) are not counted.
import { readFileSync } from 'node:fs'
import type { Usage } from '../messages.ts'

/** Of a process that was forked for its job: what the kernel would say at its end, in one call. */
export function usageOfProcess(): Usage {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  return {
    cpuUserMs: Math.round(userCPUTime / 1000),
    cpuSystemMs: Math.round(systemCPUTime / 1000),
    maxRssBytes: maxRSS * 1024,
  }
}

/**
 * Of a process that the worker spawned: getrusage counts the worker's own memory before exec as its peak; the
 * high-water mark does not.
 */
export function peakRssBytes(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    if (kilobytes !== undefined) return Number(kilobytes) * 1024
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024
}
