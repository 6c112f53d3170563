// B21: a queue with a rate limit: whether it keeps the rate, how evenly, and the cost for Redis while all
// jobs wait for the next token.
import { connectRedis, defaultSettings, openQueue, queueName, type Rate } from 'millhand/queue'
import type { Program } from '../processes.ts'
import { judgeDelivery, readStarts } from '../records.ts'
import { type Figures, JOBS, type Round, type Scenario, within } from '../scenario.ts'
import { fill, pause, until, untilDone } from '../steps.ts'
import { slotsOf } from './slots.ts'

const [RUNS, PARKED] = ['100 a second', 'parked']
/** The default burst of a TaskQueue. */
const RATE: Rate = { jobs: 100, periodMs: 1_000, burst: 10 }
/** After the first job no other one may start during the measurement. */
const SELDOM: Rate = { jobs: 1, periodMs: 3_600_000, burst: 1 }
const SECONDS = { quick: 4, normal: 10, full: 60 }
const WAITING = 1_000

const ERROR = { name: 'rateErrorPercent', title: 'rate wrong by, %', better: 'less' } as const
const PEAK = { name: 'mostInASecond', title: 'most in any second', better: 'less' } as const
const COMMANDS = { name: 'parkedCommands', title: 'commands/s while parked', better: 'less' } as const
const CALLS = { name: 'parkedCalls', title: 'round trips/s while parked', better: 'less' } as const

export const b21: Scenario = {
  id: 'B21',
  title: 'A queue with a rate',
  about: `${RUNS}: how far the starts of whole seconds are from it, and the most in any second. ${PARKED}: ${WAITING} jobs wait and none may start.`,
  peers: ['millhand-reuse', 'bullmq'],
  variants: [RUNS, PARKED],
  jobs: { warmUp: 0, most: 0 },
  hasWarmUp: false,
  figures: [ERROR, PEAK, COMMANDS, CALLS, JOBS],
  round: (round) => (round.variant === PARKED ? parked(round) : running(round)),
  criteria: (results) => {
    const peer = 'millhand-reuse'
    return [
      within(results, { peer, figure: ERROR.name, most: 1, unit: '% wrong', variant: RUNS }),
      within(results, { peer, figure: PEAK.name, most: 120, unit: 'in any second', variant: RUNS }),
      within(results, { peer, figure: CALLS.name, most: 5, unit: 'round trips/s', variant: PARKED }),
    ]
  },
}

async function running(round: Round): Promise<Figures> {
  const seconds = SECONDS[round.extent]
  const count = seconds * RATE.jobs + 1
  const worker = await begin(round, count, RATE)
  await untilDone(round, count, 3_000 * seconds + 30_000)
  await worker.stop()
  const starts = readStarts(round.place.records)
  for (const problem of judgeDelivery(starts, count)) round.fail(problem)
  const atMs = starts.atMicros.map((micros) => micros / 1_000).sort((a, b) => a - b)
  const [firstMs = 0] = atMs
  // A fixed window begins with all its jobs, and a run with a burst: only whole seconds behind the
  // first one can be compared.
  const whole = Math.floor(((atMs.at(-1) ?? 0) - firstMs) / 1_000)
  const counted = atMs.filter((ms) => ms >= firstMs + 1_000 && ms < firstMs + 1_000 * whole).length
  return {
    [ERROR.name]: 100 * Math.abs(counted / ((whole - 1) * RATE.jobs) - 1),
    [PEAK.name]: Math.max(...atMs.map((from) => atMs.filter((ms) => ms >= from && ms < from + 1_000).length)),
    jobs: count,
  }
}

async function parked(round: Round): Promise<Figures> {
  const { server, place, extent } = round
  await begin(round, WAITING, SELDOM)
  await until(() => readStarts(place.records).numbers.length > 0, 30_000, 'the first job started')
  await pause(2_000)
  const before = await server.doings()
  await pause(1_000 * SECONDS[extent])
  const after = await server.doings()
  const started = readStarts(place.records).numbers.length
  if (started !== 1) round.fail(`${started} jobs started, and one may`)
  return {
    // One INFO is between the two.
    [COMMANDS.name]: (after.commands - before.commands - 1) / SECONDS[extent],
    [CALLS.name]: (after.reads - before.reads - 1) / SECONDS[extent],
    jobs: WAITING,
  }
}

/** Millhand's rate belongs to the queue, the rate of other peers to the worker. */
async function begin(round: Round, count: number, rate: Rate): Promise<Program> {
  const { peer, place } = round
  if (peer.name.startsWith('millhand')) {
    const redis = connectRedis(place.redisUrl)
    await openQueue(redis, queueName('default', 'bench')).configure({ ...defaultSettings, rate })
    redis.close()
  }
  await fill(round, count)
  return round.startWorker({ slots: slotsOf(peer.name), task: 'no-op', rate }).ready()
}
