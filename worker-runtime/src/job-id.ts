// New ids of jobs, for enqueues that name none.
import { randomInt } from 'node:crypto'

let drawnIn: number | undefined
let processPart = ''
let counter = 0
let timeMs = 0
let timePart = ''

/** 20 characters, ordered by time: ms, this process, a counter, all in base 36. */
export function newJobId(): string {
  if (process.pid !== drawnIn) beThisProcess()
  counter = (counter + 1) % 36 ** 5
  const nowMs = Date.now()
  if (nowMs !== timeMs) {
    timeMs = nowMs
    timePart = nowMs.toString(36).padStart(8, '0')
  }
  return timePart + processPart + counter.toString(36).padStart(5, '0')
}

/** Called at the first id, not when the module loads: forks would have the id of their zygote. */
function beThisProcess(): void {
  drawnIn = process.pid
  processPart = randomInt(36 ** 7)
    .toString(36)
    .padStart(7, '0')
  counter = randomInt(36 ** 5)
}
