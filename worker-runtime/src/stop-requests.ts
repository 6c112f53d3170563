// Counts requests to stop. One request may arrive as several signals: npm, npx and some shells pass a Ctrl-C
// on to a child that the terminal has told already, and PM2 or systemd signal a whole group. Used by the
// worker and by `millhand up`.

/** Signals this close together are one request. */
export const ONE_REQUEST_MS = 500

/**
 * Calls `asked` with 1, 2, … at each new request. Answers the listener for every signal that asks to stop.
 */
export function stopRequests<Signal>(
  asked: (times: number, signal: Signal) => void,
): (signal: Signal) => void {
  let times = 0
  let isSameRequest = false
  return (signal) => {
    if (isSameRequest) return
    isSameRequest = true
    // When the loop was held up, the timer is due before a signal from that time is read: setImmediate comes
    // after both.
    setTimeout(() => setImmediate(() => (isSameRequest = false)), ONE_REQUEST_MS).unref()
    asked(++times, signal)
  }
}
