// The usage of a child, sent with the result of its job. The few milliseconds after the result (exit
// listeners, the end of the process) do not count.
import { readFileSync } from 'node:fs'
import type { Usage } from '../messages.ts'

/** For a process that was forked for its job: the kernel's numbers, in one call. */
export function usageOfProcess(): Usage {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage()
  return {
    cpuUserMs: Math.round(userCPUTime / 1000),
    cpuSystemMs: Math.round(systemCPUTime / 1000),
    maxRssBytes: maxRSS * 1024,
  }
}

/**
 * For a spawned process: getrusage counts the worker's memory before exec as its peak, the high-water mark
 * does not.
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
