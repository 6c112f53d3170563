// A deadline for what comes over a socket. A process that was stopped, or busy with itself, wakes with its timers overdue and the answers unread: what
// lies in the sockets is read before the deadline is believed.

/** Answers how to call it off. */
export function afterReading(ms: number, then: () => void): () => void {
  let immediate: NodeJS.Immediate | undefined
  const timer = setTimeout(() => {
    immediate = setImmediate(then)
  }, ms)
  return () => {
    clearTimeout(timer)
    clearImmediate(immediate)
  }
}
