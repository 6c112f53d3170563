// Shared by workers on Node: writes down when each job started, and does the work of a job.
import { appendFileSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { nowMicros } from './producing.ts'

const file = () => join(process.env.BENCH_RECORDS ?? '.', `${process.pid}.txt`)

let lines = ''
let isTimed = false

export function recordSoon(n: number): void {
  lines += `${n} ${nowMicros()}\n`
  if (isTimed) return
  isTimed = true
  setTimeout(write, 50)
  process.once('exit', write)
}

/** For processes that run one job each: they append to one file, as the peers' do, which forks find open. */
const shared =
  process.env.BENCH_ONE_JOB === '1'
    ? openSync(join(process.env.BENCH_RECORDS ?? '.', 'jobs.txt'), 'a')
    : undefined

export function recordNow(n: number): void {
  if (shared !== undefined) writeSync(shared, `${n} ${nowMicros()}\n`)
}

function write(): void {
  isTimed = false
  process.removeListener('exit', write)
  if (lines) appendFileSync(file(), lines)
  lines = ''
}

function timesRecorded(n: number): number {
  const folder = process.env.BENCH_RECORDS ?? '.'
  const lines = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'))
  return lines.filter((line) => line.startsWith(`${n} `)).length
}

/**
 * The work of a job after it has recorded its start. With `fails`, one in ten fails and one in a hundred ends
 * its process.
 */
export async function perform(n: number, attempt: number): Promise<void> {
  switch (process.env.BENCH_TASK) {
    case 'sleeps':
      return new Promise((resolve) => setTimeout(resolve, 10))
    case 'sleeps-long':
      write()
      // Its worker was killed, and the job runs again: the bench waits for nothing more.
      if (timesRecorded(n) > 1) return
      return new Promise((resolve) => setTimeout(resolve, 600_000))
    case 'mixed':
      if (n % 20 === 11) await new Promise((resolve) => setTimeout(resolve, 500))
      return failSometimes(n, attempt)
    case 'fails':
      return failSometimes(n, attempt)
  }
}

function failSometimes(n: number, attempt: number): void {
  if (attempt > 1) return
  if (n % 100 === 5) {
    write()
    process.exit(1)
  }
  if (n % 10 === 0) throw new Error(`job ${n} fails once`)
}

/** Ends the program when its parent has gone. */
export function endWithStdin(): void {
  process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM')).resume()
}
