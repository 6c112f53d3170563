// A child of one job after that job: work that was not awaited may end, as in any Node program. The worker
// waits a short time for it (slots.ts). Called by entry.ts.
import type { Socket } from 'node:net'
import type { FromChild } from '../messages.ts'

/** By then the process of most jobs has ended. */
const LINGERS_AFTER_MS = 10
const MOST_RESOURCES_NAMED = 10

/** Returns a function that takes it back. */
export function letLoopRunDry(channel: Socket | undefined, send: (message: FromChild) => void): () => void {
  channel?.unref()
  const sayWhatIsLeft = () => {
    const resources = [...new Set(process.getActiveResourcesInfo())].slice(0, MOST_RESOURCES_NAMED)
    send({ kind: 'lingers', resources })
  }
  const timer = setTimeout(sayWhatIsLeft, LINGERS_AFTER_MS).unref()
  return () => {
    clearTimeout(timer)
    channel?.ref()
  }
}
