// The one way to give up waiting. A process that was held up itself (SIGSTOP, a blocked loop, a frozen machine) finds its timers overdue
// and the answers unread: its timers run first. So a deadline counts only time in which this process could hear, and what has arrived is
// read before it is believed to be over.
const SLICE_MS = 1_000
/** A loop that is only busy is late too; this late it was held up. */
const HELD_UP_MS = 200

/** Calls `onOver` once, `ms` from now or later. Returns how to call it off. */
export function startDeadline(ms: number, onOver: () => void): () => void {
  let leftMs = ms
  let timer: NodeJS.Timeout
  let reading: NodeJS.Immediate | undefined
  const next = () => {
    const sliceMs = Math.min(leftMs, SLICE_MS)
    const dueAtMs = performance.now() + sliceMs
    timer = setTimeout(() => {
      const lateMs = performance.now() - dueAtMs
      // Half, so that there is always time left to hear in, and one who is held up all the time gives up in the end.
      leftMs -= lateMs > HELD_UP_MS ? sliceMs / 2 : sliceMs + lateMs
      if (leftMs < 1)
        reading = setImmediate(onOver) // after the loop has read its sockets
      else next()
    }, sliceMs)
  }
  next()
  return () => {
    clearTimeout(timer)
    clearImmediate(reading)
  }
}
