// `npm run demo`: everything Millhand is, on one machine. Starts a Redis and the manifests' workers, enqueues every photo in several
// widths, shows how it goes, looks at what came of it, and takes everything down again. With --chaos processes are killed meanwhile.
import { constants, mkdtempSync, rmSync } from 'node:fs'
import { access, mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Local, type LocalEvent, startLocal } from '@millhand/cli/local'
import { connect, type JobDetails } from 'millhand/client'
import { connectRedis, openQueue, queueName } from 'millhand/queue'
import { stopRequests } from 'millhand/stop-requests'
import { type Kills, killAtRandom } from './chaos.ts'
import { openScreen, tableOf } from './screen.ts'
import { faultOf, MOST_TIMES, type Order, ordersFor, photos } from './work.ts'

const HELP = `npm run demo [-- OPTIONS]   makes thumbnails of the photos in examples/thumbnails/photos

  --chaos         twenty times as many jobs, while workers and children are killed with SIGKILL at random;
                  fails if a job is lost or a thumbnail is missing
  --times NUMBER  so many times as many jobs, 1 to ${MOST_TIMES}; default: 1, with --chaos ${MOST_TIMES}
  --out FOLDER    where the thumbnails go; default: thumbnails-out
  --help          this text

Examples:
  npm run demo
  npm run demo -- --chaos
  npm run demo -- --times 5 --out /tmp/thumbnails

Ctrl-C stops it at any moment; only thumbnails are left behind.
`
const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const INTERRUPTED = 130
const LOOK_EVERY_MS = 100
const RATE_OVER_MS = 3_000
/** Chance must not bury a job whose child happened to be killed again and again. */
const PATIENT = { maxAttempts: 1_000, maxCrashes: 1_000 }

const screen = openScreen(process.stdout)
const settings = readSettings()
const scratch = mkdtempSync(join(tmpdir(), 'millhand-demo-'))
const broken = Promise.withResolvers<never>()
broken.promise.catch(() => {})
const interrupted = new AbortController()
// A second Ctrl-C does not wait for anything: what we started ends with us.
const stop = stopRequests((times) => (times === 1 ? interrupted.abort() : leave(INTERRUPTED)))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop)
process.stdout.on('error', () => interrupted.abort())

leave(await demo())

/** Answers the exit code. */
async function demo(): Promise<number> {
  const { isChaos, times } = settings
  const out = await outputFolder(settings.out)
  const orders = ordersFor(await photos(), times, isChaos ? PATIENT : {})
  let local: Local | undefined
  try {
    local = await start(out)
    const work = await workThrough(orders, local)
    const summary = await summarize(orders, work, out)
    screen.say(summary.text)
    return summary.faults === 0 ? 0 : 1
  } catch (error) {
    if (interrupted.signal.aborted) return INTERRUPTED
    screen.say(`the demo failed: ${error instanceof Error ? error.message : error}`)
    return 1
  } finally {
    await takeDown(local)
    await tidy(out)
    if (interrupted.signal.aborted) screen.say('stopped; nothing runs any more')
  }
}

async function start(out: string): Promise<Local> {
  const local = await startLocal({
    paths: [FOLDER],
    reload: false,
    dataFolder: 'temporary',
    dashboardPort: 0,
    outside: { workingFolder: scratch, env: { ...process.env, THUMBNAILS_OUT: out } },
    onEvent: tell,
  })
  screen.say(`to look around meanwhile:  ${local.dashboardUrl}`)
  screen.say(`or in a terminal:  npx millhand queues --redis ${local.redisUrl}`)
  return local
}

function tell(event: LocalEvent): void {
  if (event.kind === 'warning' || event.kind === 'redis-fetching') screen.say(event.message)
  if (event.kind === 'redis-started') screen.say(`${event.version} runs at ${event.url}`)
  if (event.kind === 'worker-ready') screen.say(`worker ${event.worker} is ready (process ${event.pid})`)
  if (event.kind === 'worker-died') screen.say(`worker ${event.worker} died: ${event.reason}`)
  if (event.kind === 'jobs-put-back') screen.say(`put back what it held: ${event.jobs} jobs`)
  if (event.kind === 'pool-misconfigured') broken.reject(new Error(event.message))
}

interface Work {
  tookMs: number
  jobs: (JobDetails | undefined)[]
  counts: { completed: number; lost: number; retried: number }
  kills: Kills | undefined
}

async function workThrough(orders: Order[], local: Local): Promise<Work> {
  const { signal } = interrupted
  signal.throwIfAborted()
  const client = connect({ redis: local.redisUrl, namespace: local.namespace })
  const redis = connectRedis(local.redisUrl)
  const chaos = new AbortController()
  try {
    const queue = openQueue(redis, queueName(local.namespace, 'thumbnails'))
    const startMs = performance.now()
    const handles = await client.queue('thumbnails').enqueueMany(orders)
    screen.say(`${orders.length} jobs enqueued`)
    const killing =
      settings.isChaos && killAtRandom(() => readyWorkers(local), Math.ceil(orders.length / 8), chaos.signal)
    const done: { atMs: number; count: number }[] = []
    for (;;) {
      const depth = await queue.depth()
      const { completed } = depth.counts
      const nowMs = performance.now()
      done.push({ atMs: nowMs, count: completed })
      while ((done[0]?.atMs ?? nowMs) < nowMs - RATE_OVER_MS) done.shift()
      const jobsPerSecond = rateOf(done)
      screen.show({ depth, jobs: orders.length, workers: local.workers().length, jobsPerSecond })
      if (completed + depth.buried + depth.counts.cancelled >= orders.length) break
      await Promise.race([after(LOOK_EVERY_MS, undefined, { signal }), local.done, broken.promise])
    }
    const tookMs = performance.now() - startMs
    chaos.abort()
    const kills = (await killing) || undefined
    const jobs = await Promise.all(handles.map((handle) => handle.details()))
    return { tookMs, jobs, kills, counts: (await queue.depth()).counts }
  } finally {
    chaos.abort()
    client.close()
    redis.close()
  }
}

function readyWorkers(local: Local): number[] {
  return local.workers().flatMap(({ isReady, isStopping, pid }) => (isReady && !isStopping ? [pid] : []))
}

function rateOf(done: readonly { atMs: number; count: number }[]): number {
  const first = done[0]
  const last = done.at(-1)
  if (!first || !last || last.atMs - first.atMs < LOOK_EVERY_MS) return 0
  return ((last.count - first.count) * 1_000) / (last.atMs - first.atMs)
}

async function summarize(
  orders: Order[],
  work: Work,
  out: string,
): Promise<{ text: string; faults: number }> {
  const { jobs, tookMs, counts, kills } = work
  const checked = await Promise.all(orders.map((order, index) => faultOf(order, jobs[index], out)))
  const faults = checked.filter((fault) => fault !== undefined)
  if (counts.completed !== orders.length)
    faults.push(`${counts.completed} jobs were completed instead of ${orders.length}`)
  const seconds = tookMs / 1_000
  const lines = [
    '',
    tableOf([['photo', 'thumbnails', 'KiB', 'CPU ms each'], ...photoRows(orders, jobs)]),
    '',
    `${counts.completed} of ${orders.length} jobs completed in ${seconds.toFixed(1)} s (${(orders.length / seconds).toFixed(1)} jobs a second)`,
    ...(kills ? chaosLines(kills, work) : []),
    ...(faults.length === 0
      ? ['nothing is missing: each job completed once, each thumbnail is there and can be read']
      : ['something is missing:', ...faults.map((fault) => `  ${fault}`)]),
    `the thumbnails are in ${relative('.', out).startsWith('..') ? out : relative('.', out) || '.'}`,
  ]
  return { text: lines.join('\n'), faults: faults.length }
}

function photoRows(orders: Order[], jobs: Work['jobs']): (string | number)[][] {
  return [...new Set(orders.map(({ input }) => input.file))].map((file) => {
    const ended = jobs.flatMap((job, index) =>
      orders[index]?.input.file === file && job?.ended ? [job.ended] : [],
    )
    const made = ended.filter(({ state }) => state === 'completed')
    const bytes = sum(made.map(({ result }) => Number(JSON.parse(result).bytes)))
    const cpuMs = sum(made.map(({ facts }) => (facts.cpuUserMs ?? 0) + (facts.cpuSystemMs ?? 0)))
    return [
      file,
      made.length,
      (bytes / 1024).toFixed(0),
      made.length ? (cpuMs / made.length).toFixed(0) : '-',
    ]
  })
}

function chaosLines({ workers, children }: Kills, { jobs, counts }: Work): string[] {
  const endings = jobs.flatMap((job) => job?.failures ?? []).map(({ outcome }) => outcome)
  const lost = endings.filter((outcome) => outcome === 'worker-lost').length
  return [
    `killed with SIGKILL: ${workers} workers, ${children} children (some had no job just then)`,
    `taken back: ${counts.lost} jobs of dead workers; tried again after their child died: ${endings.length - lost}`,
  ]
}

/** Jobs that still run are handed back: their Redis ends too. */
async function takeDown(local: Local | undefined): Promise<void> {
  if (!local) return
  const stopped = local.stop()
  if (interrupted.signal.aborted) void local.stop()
  interrupted.signal.addEventListener('abort', () => void local.stop())
  await stopped
}

/** Removes what killed attempts had begun to write, and the folder when there is nothing in it. */
async function tidy(out: string): Promise<void> {
  const parts = (await readdir(out)).filter((name) => name.endsWith('.part'))
  await Promise.all(parts.map((part) => rm(join(out, part), { force: true })))
  await rmdir(out).catch(() => {})
}

async function outputFolder(wanted: string): Promise<string> {
  try {
    await mkdir(wanted, { recursive: true })
    await access(wanted, constants.W_OK)
    return resolve(wanted)
  } catch {
    const folder = await mkdtemp(join(tmpdir(), 'thumbnails-'))
    screen.say(`${wanted} cannot be written to; the thumbnails go to ${folder}`)
    return folder
  }
}

function readSettings() {
  try {
    const { values } = parseArgs({
      options: {
        chaos: { type: 'boolean', default: false },
        times: { type: 'string' },
        out: { type: 'string', default: 'thumbnails-out' },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) {
      process.stdout.write(HELP)
      process.exit(0)
    }
    const times = Number(values.times ?? (values.chaos ? MOST_TIMES : 1))
    if (!Number.isInteger(times) || times < 1 || times > MOST_TIMES)
      throw new TypeError(`--times is a whole number from 1 to ${MOST_TIMES}`)
    return { isChaos: values.chaos, times, out: values.out }
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : error} (--help tells more)\n`)
    process.exit(2)
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0)
}

function leave(exitCode: number): never {
  rmSync(scratch, { recursive: true, force: true })
  process.exit(exitCode)
}
