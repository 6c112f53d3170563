// Tasks that append to the history file what they do; the payload says what that is.
import { appendFileSync } from 'node:fs'
import { type Job, task } from '../../worker-runtime/src/index.ts'

interface Input {
  ms?: number
  history: string
}

function note(what: string, { history }: Input, job: Job, detail?: string): void {
  const event = { what, job: job.id, attempt: job.attempt, pid: process.pid, detail, atMs: Date.now() }
  appendFileSync(history, `${JSON.stringify(event)}\n`)
}

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

export const naps = task('naps', async (input: Input, job) => {
  note('started', input, job)
  await wait(input.ms ?? 0)
  note('ended', input, job)
  return job.attempt
})

/** As much code does that was written for a service. */
export const napsAndExitsOnSignals = task('naps-and-exits-on-signals', async (input: Input, job) => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.once(signal, () => process.exit(1))
  note('started', input, job)
  await wait(input.ms ?? 0)
  note('ended', input, job)
})

export const spins = task('spins', async (input: Input, job) => {
  note('started', input, job)
  const until = performance.now() + (input.ms ?? Number.POSITIVE_INFINITY)
  while (performance.now() < until);
  note('ended', input, job)
})

export const killsItsWorker = task('kills-its-worker', async (input: Input, job) => {
  note('started', input, job)
  process.kill(process.ppid, 'SIGKILL')
  await wait(60_000)
})

export const failsOnce = task('fails-once', async (input: Input, job) => {
  note('started', input, job)
  if (job.attempt === 1) throw new Error('the first attempt fails')
  note('ended', input, job)
  return job.attempt
})
