// The way of one job on an idle system, hop by hop: node --conditions=millhand-source bench/hops.ts (half a
// minute). Client and worker note when they read and write (socket-times.ts); the task says when it started.
// All times are of one clock. No proxy between the processes adds a hop.
import { mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { connect } from 'millhand/client'
import { millhandPeers, type RealWorkerOptions, startRealWorker } from './peers/millhand.ts'
import { type Noted, noted, nowMs } from './peers/programs/millhand/socket-times.ts'
import { Program, stopEverything, stopWhenInterrupted, temporaryFolder } from './processes.ts'
import { percentile } from './records.ts'
import { Server } from './server.ts'
import { pause } from './steps.ts'

const GAP_MS = 30
const WARMING = 20

interface Played {
  readonly calledAt: number
  readonly enqueuedAt: number
  readonly startedAt: number
  readonly endedAt: number
}

const { values } = parseArgs({ options: { jobs: { type: 'string', default: '150' } } })
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'millhand/bench')
mkdirSync(cache, { recursive: true })
stopWhenInterrupted()

try {
  await millhandPeers[0]?.install(cache)
  for (const mode of ['Reuse', 'Fork'] as const) await show(mode, Number(values.jobs))
} finally {
  await stopEverything()
}
process.exit(0)

async function show(mode: 'Reuse' | 'Fork', jobs: number): Promise<void> {
  const server = await Server.start()
  const port = Number(new URL(server.url).port)
  const records = temporaryFolder()
  const times = join(records, 'sockets.json')
  const options: RealWorkerOptions = {
    mode,
    slots: 4,
    task: 'no-op',
    preload: 'socket-times',
    env: { BENCH_SOCKET_TIMES: times },
    ...(mode === 'Reuse' && { children: 2 }),
  }
  const place = { cache, redisUrl: server.url, records }
  const worker = await new Program(startRealWorker(place, options), 'worker').ready()
  const setMs = await idleSet(server)
  const played = await play(server.url, WARMING + jobs)
  await worker.stop()
  await server.stop()
  const theirs: Noted[] = JSON.parse(readFileSync(times, 'utf8'))
  const ways = played.slice(WARMING).map((job) => wayOf(job, { port, theirs }))
  console.log(
    `\n${mode}, ${jobs} jobs one at a time; a bare SET on an idle connection takes ${setMs.toFixed(2)} ms`,
  )
  console.log(tableOf(ways))
}

async function play(redis: string, count: number): Promise<Played[]> {
  const client = connect({ redis })
  const queue = client.queue('bench')
  const played: Played[] = []
  for (let i = 0; i < count; i += 1) {
    await pause(GAP_MS)
    const calledAt = nowMs()
    const job = await queue.enqueue('when-started', null)
    const enqueuedAt = nowMs()
    const startedAt = Number(await job.result())
    played.push({ calledAt, enqueuedAt, startedAt, endedAt: nowMs() })
  }
  client.close()
  return played
}

async function idleSet({ redis }: Server): Promise<number> {
  const took: number[] = []
  for (let i = 0; i < 50; i += 1) {
    await pause(GAP_MS)
    const before = nowMs()
    await redis.set('idle', i)
    took.push(nowMs() - before)
  }
  return percentile(took, 0.5)
}

/** The hops of a job by name, in ms after the call. A hop that this job did not make is absent. */
type Way = Record<string, number>

function wayOf(job: Played, { port, theirs }: { port: number; theirs: Noted[] }): Way {
  const { calledAt, enqueuedAt, startedAt, endedAt } = job
  const of = (all: Noted[], did: Noted['did'], isRedis: boolean, [from, to]: [number, number]) =>
    all.filter(
      (each) => each.did === did && (each.port === port) === isRedis && each.at > from && each.at < to,
    )
  const sent = of(noted, 'wrote', true, [calledAt, endedAt])[0]?.at ?? calledAt
  const toChild = of(theirs, 'wrote', false, [sent, startedAt])[0]?.at ?? startedAt
  const heard = of(theirs, 'read', true, [sent, toChild])
  const asked = of(theirs, 'wrote', true, [heard[0]?.at ?? sent, toChild])
  const ended = of(theirs, 'read', false, [startedAt, endedAt]).at(0)?.at
  const settling = of(theirs, 'wrote', true, [ended ?? startedAt, endedAt])[0]?.at
  const hops: [string, number | undefined][] = [
    ['client sends the job', sent],
    ['worker hears from Redis', heard[0]?.at],
    ['worker asks Redis for the job', asked[0]?.at],
    ['worker has the job', heard.length > 1 ? heard.at(-1)?.at : undefined],
    ['worker sends it to a child', toChild],
    ['task runs its first line', startedAt],
    ['worker hears from the child', ended],
    ['worker settles', settling],
    ['client reads the last answer', of(noted, 'read', true, [startedAt, endedAt]).at(-1)?.at],
    ['client has the result', endedAt],
    ['meanwhile: client has the answer to its enqueue', enqueuedAt],
  ]
  return Object.fromEntries(hops.flatMap(([name, at]) => (at === undefined ? [] : [[name, at - calledAt]])))
}

/** The medians of the hops that most jobs made. */
function tableOf(ways: Way[]): string {
  const names = [...new Set(ways.flatMap((way) => Object.keys(way)))]
  let before = 0
  const lines = names.flatMap((name) => {
    const times = ways.flatMap((way) => way[name] ?? [])
    if (times.length < ways.length / 2) return []
    const at = percentile(times, 0.5)
    const step = name.startsWith('meanwhile') ? '' : `+${(at - before).toFixed(2)}`
    before = at
    return [`${at.toFixed(2).padStart(8)} ${step.padStart(7)}  ${name}`]
  })
  return ['      ms    step', ...lines, ''].join('\n')
}
