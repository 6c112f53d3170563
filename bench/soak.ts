// npm run soak (B18): a real worker with ten slots under mixed load for half an hour: jobs that succeed,
// fail, crash, take long, come later. Every ten seconds it reads memory, keys, descriptors and processes.
// Memory has goals, and none of these may grow. The exit code is 1 when there is a finding, and each one is a
// sentence. With --cluster it runs the long form of suites that shrink pools and break a cluster
// (long-suites.ts).
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connect } from 'millhand/client'
import { connectRedis, defaultSettings, openQueue, queueName } from 'millhand/queue'
import { theOutside } from '../cli/src/local/outside.ts'
import { findRedisServer } from '../cli/src/local/redis-server.ts'
import { playLongSuites } from './long-suites.ts'
import { millhandPeers, startRealWorker } from './peers/millhand.ts'
import {
  Program,
  stopEverything,
  stopWhenInterrupted,
  temporaryFolder,
  treeOf,
  treeUse,
} from './processes.ts'
import { percentile, readStarts } from './records.ts'
import { numberText } from './scenario.ts'
import { freePort, Server } from './server.ts'
import { pause } from './steps.ts'

const HELP = `npm run soak -- [options]   a real worker with ten slots under mixed load: its memory, and what grows

  --minutes N     default 30; below 6 it does not judge growth, 0.1 shows that it runs
  --mode MODE     Fork, Spawn or Reuse; default Fork
  --rate N        jobs a second; default 40
  --json FILE     writes all samples
  --cluster       instead: a real Kubernetes, in which pools become smaller 200 times under load, everything is killed, stopped and
                  started at random for so many minutes, an operator has 500 queues, is killed at 30 of its writes, and serves
                  eight hostile tenants for 10 minutes; exit code 1 when a job or a pod was lost. MILLHAND_SCALE_SEED,
                  MILLHAND_CHAOS_SEED and MILLHAND_CRASH_SEED repeat a run
  --faults        instead: 250 jobs a minute in each form of Redis while workers, children and Redis are killed and stopped, an
                  outage of 90 s, flows of 10,000 jobs through the same, 200 random histories of random flows, and a batch of a
                  million jobs. MILLHAND_CHAOS_SEED and MILLHAND_TEST_SEED repeat a run
`
const MODES = ['Fork', 'Spawn', 'Reuse'] as const
const SAMPLE_EVERY_MS = 10_000
const SLOTS = 10
/** Growth counts after this time, when all code has run and heaps have their size. */
const WARM_MINUTES = 3
const FEWEST_SAMPLES = 12

/** One sample. */
interface Sample {
  minutes: number
  workerMiB: number
  /** 0 with Spawn, which has no zygote. */
  zygoteMiB: number
  /** The memory of all processes of the worker; shared pages count once. */
  poolMiB: number
  /** All keys without those of jobs that wait or run. */
  redisKeys: number
  held: number
  waiting: number
  descriptors: number
  zombies: number
  processes: number
}

/** The goals of memory. In a container of 512 MiB they leave half of it to the jobs. */
const GOALS: Partial<Sample> = { workerMiB: 100, zygoteMiB: 70, poolMiB: 256 }
/** The growth that is allowed in a run. */
const MOST_GAINS: Partial<Sample> = {
  workerMiB: 8,
  zygoteMiB: 8,
  poolMiB: 32,
  redisKeys: 200,
  held: SLOTS,
  descriptors: 10,
  zombies: 2,
  processes: 8,
}

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    mode: { type: 'string', default: 'Fork' },
    rate: { type: 'string', default: '40' },
    json: { type: 'string' },
    cluster: { type: 'boolean' },
    faults: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})
if (values.help) {
  console.log(HELP)
  process.exit(0)
}
for (const form of ['cluster', 'faults'] as const)
  if (values[form]) process.exit(await playLongSuites(form, numberOf('minutes')))
stopWhenInterrupted()

const root = temporaryFolder()
let findings: string[] = []
try {
  findings = await soak(numberOf('minutes'), numberOf('rate'))
} catch (error) {
  findings = [error instanceof Error ? (error.stack ?? error.message) : String(error)]
} finally {
  await stopEverything()
}
for (const finding of findings) console.log(`FOUND: ${finding}`)
console.log(findings.length === 0 ? 'Nothing was found.' : '')
process.exit(findings.length === 0 ? 0 : 1)

function numberOf(option: 'minutes' | 'rate'): number {
  const value = Number(values[option])
  if (value > 0) return value
  console.error(`soak: invalid --${option} ${values[option]}: use a number above 0`)
  process.exit(2)
}

async function soak(minutes: number, rate: number): Promise<string[]> {
  const mode = MODES.find((each) => each === values.mode)
  if (!mode) throw new Error(`invalid --mode ${values.mode}: use one of ${MODES.join(', ')}`)
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'millhand/bench')
  mkdirSync(cache, { recursive: true })
  await millhandPeers[0]?.install(cache)
  delete process.env.NODE_EXTRA_CA_CERTS
  const records = join(root, 'records')
  mkdirSync(records)
  const { path } = await findRedisServer(theOutside(), console.log)
  const server = await Server.start({}, path)
  const queue = openQueue(connectRedis(server.url), queueName('default', 'bench'))
  // Results expire soon, so that their memory is constant after the first minute.
  await queue.configure({ ...defaultSettings, backoffMs: 1_000, maxBackoffMs: 1_000, completedMaxCount: 500 })
  const env = { MILLHAND_HTTP_PORT: String(await freePort()) } // metrics take memory too
  const options = { slots: SLOTS, children: 2, mode, task: 'mixed', env } as const
  const worker = await new Program(
    startRealWorker({ cache, redisUrl: server.url, records }, options),
    'worker',
  ).ready()
  const client = connect({ redis: server.url, namespace: 'default' })
  const samples: Sample[] = []
  const endAtMs = performance.now() + minutes * 60_000
  let n = 0
  let nextSampleAtMs = performance.now() + SAMPLE_EVERY_MS
  while (performance.now() < endAtMs) {
    const batch = Array.from({ length: Math.ceil(rate / 4) }, () => n++)
    const requests = batch.map((each) => ({
      task: 'no-op',
      input: { n: each, payload: 'x'.repeat(each % 50 === 7 ? 50_000 : 80) },
      options: each % 10 === 3 ? { delayMs: 2_000 } : {},
    }))
    await client.queue('bench').enqueueMany(requests)
    worker.mustLive()
    if (performance.now() > nextSampleAtMs) {
      nextSampleAtMs += SAMPLE_EVERY_MS
      samples.push(
        await sampleOf(worker, server, {
          queue,
          mode,
          minutes: minutes - (endAtMs - performance.now()) / 60_000,
        }),
      )
      show(samples)
    }
    await pause(250)
  }
  console.log(`\n${n} jobs were enqueued; waiting for the last ones`)
  const calm = await untilCalm(queue)
  const last = await queue.depth()
  const end = await sampleOf(worker, server, { queue, mode, minutes })
  await worker.stop()
  client.close()
  queue.redis.close()
  await server.stop()
  if (values.json) writeFileSync(values.json, JSON.stringify({ mode, rate, jobs: n, samples, end }, null, 2))
  return [
    ...(calm ? [] : [`the queue did not become empty: ${JSON.stringify(last)}`]),
    ...(last.counts.completed === n ? [] : [`${n} jobs were enqueued, ${last.counts.completed} completed`]),
    ...(last.buried > 0 ? [`${last.buried} jobs are buried; none should be`] : []),
    ...(end.held > 0 ? [`${end.held} jobs are held at the end`] : []),
    ...deliveryOf(records, n, mode),
    ...judge(samples),
  ]
}

interface Looked {
  queue: ReturnType<typeof openQueue>
  mode: string
  minutes: number
}

async function sampleOf(worker: Program, server: Server, { queue, mode, minutes }: Looked): Promise<Sample> {
  const family = treeUse(worker.pid)
  const { ready, delayed, busy } = await queue.depth()
  return {
    minutes,
    workerMiB: family.rssOwnBytes / 2 ** 20,
    zygoteMiB: mode === 'Spawn' ? 0 : oldestChildMiB(worker.pid),
    poolMiB: familyMiB(family.pids),
    redisKeys: (await server.redis.dbsize()) - ready - delayed - busy,
    held: busy,
    waiting: ready + delayed,
    descriptors: readdirSync(`/proc/${worker.pid}/fd`).length,
    zombies: family.zombies,
    processes: family.pids.length,
  }
}

/** The zygote: the first Node process that the worker starts. The guard is a shell, and smaller. */
function oldestChildMiB(pid: number): number {
  const children = [...treeOf(pid)].filter(([each, row]) => each !== pid && row.rssBytes > 10 * 2 ** 20)
  const [oldest] = children.sort(([, a], [, b]) => Number(a.startedAt) - Number(b.startedAt))
  return (oldest?.[1].rssBytes ?? 0) / 2 ** 20
}

/**
 * The memory of processes that are forked from one another: of file pages those of the largest process, of
 * private pages each one once.
 */
function familyMiB(pids: readonly number[]): number {
  const uses = pids.map((pid) => {
    const text = procFile(pid, 'smaps_rollup')
    const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0)
    return { own: kilobytes('Pss_Anon'), ofFiles: kilobytes('Rss') - kilobytes('Anonymous') }
  })
  return (uses.reduce((sum, { own }) => sum + own, 0) + Math.max(...uses.map((use) => use.ofFiles))) / 1024
}

/** Empty where the process has ended. */
function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}

function show(samples: Sample[]): void {
  const last = samples.at(-1)
  if (!last) return
  const names = Object.keys(last) as (keyof Sample)[]
  if (samples.length === 1) {
    showRow('', names)
    showRow(
      'goal',
      names.map((name) => (GOALS[name] === undefined ? '' : `≤ ${GOALS[name]}`)),
    )
  }
  showRow('', Object.values(last).map(numberText))
}

function showRow(head: string, cells: string[]): void {
  console.log(head.padEnd(4) + cells.map((cell) => cell.padStart(12)).join(''))
}

async function untilCalm(queue: ReturnType<typeof openQueue>): Promise<boolean> {
  for (let tries = 0; tries < 1_200; tries += 1) {
    const { ready, delayed, busy } = await queue.depth()
    if (ready + delayed + busy === 0) return true
    await pause(100)
  }
  return false
}

/**
 * One job in ten fails once, and one in a hundred ends its child once. In Reuse the neighbours in that child
 * run again too.
 */
function deliveryOf(records: string, count: number, mode: string): string[] {
  const times = new Uint32Array(count)
  for (const n of readStarts(records).numbers) times[n] = (times[n] ?? 0) + 1
  const found: string[] = []
  const crashes = Math.ceil(count / 100)
  let extra = 0
  times.forEach((ran, n) => {
    const expected = n % 10 === 0 || n % 100 === 5 ? 2 : 1
    if (ran < expected) found.push(`job ${n} ran ${ran} times instead of ${expected}`)
    extra += Math.max(0, ran - expected)
  })
  const allowed = mode === 'Reuse' ? crashes * 2 * SLOTS : 0
  if (extra > allowed) found.push(`jobs ran ${extra} times more often than they should`)
  return found.slice(0, 5)
}

function judge(samples: Sample[]): string[] {
  const last = samples.at(-1)?.minutes ?? 0
  const settled = samples.filter(({ minutes }) => minutes > Math.max(WARM_MINUTES, last / 5))
  if (settled.length >= FEWEST_SAMPLES) return [...overGoal(settled), ...growthOf(settled)]
  console.log('The run is too short to judge growth, which takes six minutes; memory so far:')
  overGoal(samples)
  return []
}

function overGoal(samples: Sample[]): string[] {
  if (samples.length === 0) return []
  return namesOf(GOALS).flatMap(([name, goal]) => {
    const of = samples.map((sample) => sample[name])
    const median = numberText(percentile(of, 0.5))
    const isHeld = percentile(of, 0.5) <= goal
    const most = numberText(percentile(of, 1))
    console.log(
      `${isHeld ? '[held]' : '[NOT HELD]'} ${name}: ${median} MiB (median), ${most} at most; goal: ≤ ${goal}`,
    )
    return isHeld ? [] : [`${name} levels off at ${median}: the goal is ${goal} at most`]
  })
}

/** The slope of the line through the samples. */
function growthOf(samples: Sample[]): string[] {
  return namesOf(MOST_GAINS).flatMap(([name, most]) => {
    const perMinute = slope(samples.map((sample) => [sample.minutes, sample[name]]))
    const gained = perMinute * ((samples.at(-1)?.minutes ?? 0) - (samples[0]?.minutes ?? 0))
    console.log(`${name}: ${numberText(perMinute)} a minute, ${numberText(gained)} in all; allowed ${most}`)
    return gained > most ? [`${name} grew by ${numberText(gained)}`] : []
  })
}

function namesOf(of: Partial<Sample>): [keyof Sample, number][] {
  return Object.entries(of) as [keyof Sample, number][]
}

function slope(points: [number, number][]): number {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / Math.max(1, points.length)
  const [mx, my] = [mean(0), mean(1)]
  const above = points.reduce((sum, [x, y]) => sum + (x - mx) * (y - my), 0)
  const below = points.reduce((sum, [x]) => sum + (x - mx) ** 2, 0)
  return below === 0 ? 0 : above / below
}
