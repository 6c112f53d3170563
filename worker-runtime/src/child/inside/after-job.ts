// A child of one job after that job: what was not awaited may end too, as in any program of Node; the worker waits for that, but not for long
// (lingering.ts). entry.ts calls this.
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { FromChild } from '../messages.ts'

/** Most jobs leave nothing: they are told as ended with what the kernel counted. */
const LINGERS_AFTER_MS = 10
const MOST_RESOURCES_NAMED = 10

export function letLoopRunDry(channel: Socket | undefined, send: (message: FromChild) => void): void {
  channel?.unref()
  const sayWhatIsLeft = () => {
    const resources = [...new Set(process.getActiveResourcesInfo())].slice(0, MOST_RESOURCES_NAMED)
    const { user, system } = process.cpuUsage()
    const usage = { cpuUserMs: Math.round(user / 1000), cpuSystemMs: Math.round(system / 1000) }
    send({ kind: 'lingers', resources, usage: { ...usage, maxRssBytes: peakRssBytes() } })
  }
  setTimeout(sayWhatIsLeft, LINGERS_AFTER_MS).unref()
}

/** getrusage counts the worker's own memory before exec as the child's peak; the kernel's high-water mark does not. */
export function peakRssBytes(): number {
  try {
    const kilobytes = /^VmHWM:\s+(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
    if (kilobytes !== undefined) return Number(kilobytes) * 1024
  } catch {
    // Not Linux.
  }
  return process.resourceUsage().maxRSS * 1024
}
