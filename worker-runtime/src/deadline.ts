// The one way to give up waiting. A process that was held up itself (SIGSTOP, a blocked loop, a frozen
// machine) finds its timers overdue and the answers unread: its timers run first. So a deadline counts only
// time in which this process could hear, and what has arrived is read before it is believed to be over. Most
// deadlines are far away and are called off: they share one timer.
//
//   far ──less than a slice is left──→ near: a timer of its own ──→ over
const SLICE_MS = 1_000
/** A loop that is only busy is late too; this late it was held up. */
const HELD_UP_MS = 200
const NOT_FAR = -1

interface Deadline {
  leftMs: number
  /** Where it is in `far`. */
  place: number
  readonly onOver: () => void
  timer: NodeJS.Timeout | undefined
  reading: NodeJS.Immediate | undefined
}

/** A list, because a Set that changes all the time is much work for the garbage collector (turnover.ts). */
const far: Deadline[] = []
let slice: NodeJS.Timeout | undefined
let sliceDueAtMs = 0

/** Calls `onOver` once, `ms` from now or later. Returns how to call it off. */
export function startDeadline(ms: number, onOver: () => void): () => void {
  const deadline: Deadline = { leftMs: ms, place: NOT_FAR, onOver, timer: undefined, reading: undefined }
  if (ms > SLICE_MS) goFar(deadline)
  else comeNear(deadline)
  return () => callOff(deadline)
}

function callOff(deadline: Deadline): void {
  clearTimeout(deadline.timer)
  clearImmediate(deadline.reading)
  if (deadline.place === NOT_FAR) return
  leaveFar(deadline)
  restSlice()
}

/** The part of the slice that is over already does not count. */
function goFar(deadline: Deadline): void {
  if (far.length === 0) beginSlice()
  else deadline.leftMs += Math.min(SLICE_MS, performance.now() - sliceDueAtMs + SLICE_MS)
  deadline.place = far.length
  far.push(deadline)
}

function leaveFar(deadline: Deadline): void {
  const last = far.pop()
  if (last && last !== deadline) {
    far[deadline.place] = last
    last.place = deadline.place
  }
  deadline.place = NOT_FAR
}

function beginSlice(): void {
  sliceDueAtMs = performance.now() + SLICE_MS
  slice = setTimeout(endSlice, SLICE_MS)
}

/** Nothing is far: no timer keeps the process alive. */
function restSlice(): void {
  if (far.length === 0) clearTimeout(slice)
}

function endSlice(): void {
  const heardMs = heardIn(SLICE_MS, sliceDueAtMs)
  for (const deadline of [...far]) {
    deadline.leftMs -= heardMs
    if (deadline.leftMs > SLICE_MS) continue
    leaveFar(deadline)
    comeNear(deadline)
  }
  if (far.length > 0) beginSlice()
}

function comeNear(deadline: Deadline): void {
  const { leftMs, onOver } = deadline
  const dueAtMs = performance.now() + leftMs
  deadline.timer = setTimeout(
    () => {
      deadline.leftMs -= heardIn(leftMs, dueAtMs)
      if (deadline.leftMs >= 1) comeNear(deadline)
      else deadline.reading = setImmediate(onOver) // after the loop has read its sockets
    },
    Math.max(0, leftMs),
  )
}

/**
 * Half, where it was held up: so there is always time left to hear in, and one who is held up all the time
 * gives up in the end.
 */
function heardIn(ms: number, dueAtMs: number): number {
  const lateMs = performance.now() - dueAtMs
  return lateMs > HELD_UP_MS ? ms / 2 : ms + lateMs
}
