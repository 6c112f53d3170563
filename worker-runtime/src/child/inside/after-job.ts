// A child of one job after that job: what was not awaited may end too, as in any program of Node; the worker
// waits for that, but not for long (slots.ts). entry.ts calls this.
import type { Socket } from 'node:net'
import type { FromChild } from '../messages.ts'

/** Most jobs leave nothing, and their process has gone by then. */
const LINGERS_AFTER_MS = 10
const MOST_RESOURCES_NAMED = 10

export function letLoopRunDry(channel: Socket | undefined, send: (message: FromChild) => void): void {
  channel?.unref()
  const sayWhatIsLeft = () => {
    const resources = [...new Set(process.getActiveResourcesInfo())].slice(0, MOST_RESOURCES_NAMED)
    send({ kind: 'lingers', resources })
  }
  setTimeout(sayWhatIsLeft, LINGERS_AFTER_MS).unref()
}
