// Tasks that append to the history file what they do; the payload says what that is.
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { appendFileSync, readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import * as millhand from '../../worker-runtime/src/index.ts'
import { type FollowUpOptions, type Job, TerminalError, task } from '../../worker-runtime/src/index.ts'

/** These tasks run on the release before too, which does not export all of this. */
const { HandOver, RetryAfter } = millhand

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

/** Its result is the sum of its numbers. */
export const adds = task('adds', async (input: Input & { numbers: number[] }, job) => {
  note('started', input, job)
  await wait(input.ms ?? 0)
  note('ended', input, job)
  return input.numbers.reduce((sum, each) => sum + each, 0)
})

export const failsForGood = task('fails-for-good', async (input: Input, job) => {
  note('started', input, job)
  throw new TerminalError('it fails')
})

/** As much code does that was written for a service. */
export const napsAndExitsOnSignals = task('naps-and-exits-on-signals', async (input: Input, job) => {
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.once(signal, () => process.exit(1))
  note('started', input, job)
  await wait(input.ms ?? 0)
  note('ended', input, job)
})

/** Starts what no process group and no environment ties to it: in sessions of their own, one of them with a dead parent. */
export const detaches = task(
  'detaches',
  async (input: Input & { lastly: 'return' | 'exit' | 'spin' | 'wait' }, job) => {
    const detached = { detached: true, env: {}, stdio: 'ignore' as const }
    const direct = spawn('/bin/sleep', ['600'], detached)
    const { pid } = spawn('/bin/sh', ['-c', '/bin/sleep 600 & /bin/sleep 600 &'], detached)
    note('detached', input, job, String(direct.pid))
    // In the session of its dead parent, wherever its new parent is.
    const orphans = () => readdirSync('/proc').filter((name) => sessionOf(name) === String(pid))
    while (orphans().length !== 2 || orphans().includes(String(pid))) await wait(10)
    for (const orphan of orphans()) note('detached', input, job, orphan)
    if (input.lastly === 'exit') process.exit(3)
    while (input.lastly === 'spin');
    if (input.lastly === 'wait') await wait(600_000)
  },
)

function sessionOf(pid: string): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[3]
  } catch {
    return
  }
}

/** Returns before its work is done. */
export const notesLater = task('notes-later', async (input: Input, job) => {
  note('started', input, job)
  setTimeout(() => note('ended', input, job), input.ms)
})

export const notesBeforeExit = task('notes-before-exit', async (input: Input, job) => {
  note('started', input, job)
  process.once('beforeExit', async () => {
    await wait(input.ms ?? 0)
    note('ended', input, job)
  })
})

/** As an idle connection does. */
export const leavesServerOpen = task('leaves-server-open', async (input: Input, job) => {
  note('started', input, job)
  await new Promise<void>((resolve) => createServer().listen(0, '127.0.0.1', resolve))
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

/** Its first attempt asks for a rest. */
export const restsOnce = task('rests-once', async (input: Input, job) => {
  note('started', input, job)
  if ((await job.lastCheckpoint()) === undefined) {
    await job.checkpoint('rested')
    throw new RetryAfter(10)
  }
  note('ended', input, job)
})

export const notesProgress = task('notes-progress', async (input: Input & { values: number }, job) => {
  note('started', input, job)
  for (let value = 1; value <= input.values; value += 1) {
    job.log(`before ${value}`)
    await job.progress(value)
    note('progressed', input, job, String(value))
    job.log(`after ${value}`)
    await wait(input.ms ?? 0)
  }
})

/** Enqueues jobs into its own queue and another one, a few of them at once, and fails the first time. */
export const fansOut = task('fans-out', async (input: Input & { jobs: number; other: string }, job) => {
  note('started', input, job)
  const { history } = input
  for (let n = 0; n < input.jobs; n += 1) {
    await job.enqueue('jobs', 'naps', { history, ms: 0 }, { id: `${job.id}:own:${n}` })
    await job.enqueue(
      input.other,
      'naps',
      { history, ms: 0 },
      { id: `${job.id}:other:${n}`, priority: 'high' },
    )
    await wait(input.ms ?? 0)
  }
  if (job.attempt === 1) throw new Error('the first attempt fails')
  await job.enqueue('jobs', 'naps', { history }, { id: `${job.id}:own:last` })
  note('ended', input, job)
})

/**
 * Its result: of each call what it answered, or the code or name of its error and what it says. An input of
 * `{ bytes }` stands for so large a text.
 */
export const enqueuesWhat = task(
  'enqueues-what',
  async (
    input: Input & { calls: [string, string, { bytes?: number }?, object?][]; fails?: boolean },
    job,
  ) => {
    const answers: unknown[] = []
    for (const [queue, name, given, options] of input.calls) {
      const what = typeof given?.bytes !== 'number' ? given : 'x'.repeat(given.bytes)
      const enqueueing = job.enqueue(queue, name, what, options as FollowUpOptions)
      answers.push(await enqueueing.catch(({ code, name, message }) => [code ?? name, message]))
    }
    if (input.fails) throw new TerminalError('after all')
    return answers
  },
)

/** Counts on from its checkpoint, and hands its job over when its worker drains. */
export const countsOn = task('counts-on', async (input: Input & { until: number }, job) => {
  note('started', input, job)
  let count = ((await job.lastCheckpoint()) as number | undefined) ?? 0
  for (; count < input.until; count += 1) {
    if (job.draining.aborted) {
      await job.checkpoint(count)
      throw new HandOver()
    }
    note('stepped', input, job, String(count))
    await wait(input.ms ?? 0)
  }
  note('ended', input, job)
  return count
})

/** Its result are the values of its steps, each of which says which attempt and which process made it. */
export const recordsSteps = task('records-steps', async (input: Input & { steps: number }, job) => {
  note('started', input, job)
  const values: string[] = []
  for (let step = 1; step <= input.steps; step += 1) {
    const value = await job.step(`step-${step}`, async () => {
      const made = `${step} ${job.attempt} ${randomUUID()}`
      note('stepped', input, job, made)
      await wait(input.ms ?? 0)
      return made
    })
    note('saved', input, job, value)
    await job.checkpoint(step)
    values.push(value)
  }
  note('ended', input, job)
  return { values, checkpoint: await job.lastCheckpoint() }
})

export const learnsByProgress = task('learns-by-progress', async (input: Input, job) => {
  note('started', input, job)
  for (let value = 1; ; value += 1) {
    try {
      await job.progress(value)
      note('progressed', input, job, String(value))
    } catch (error) {
      note('refused', input, job, String((error as { code?: unknown }).code))
      return
    }
  }
})
