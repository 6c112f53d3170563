// B13: jobs that fail and jobs that end their child, among good ones; and whether retries come on time.
import { connectRedis, defaultSettings, openQueue, prefixOf, queueName } from 'millhand/queue'
import { percentile, readStarts, type Starts } from '../records.ts'
import { DRAIN_FIGURES, type Figures, type Round, type Scenario, times, within } from '../scenario.ts'
import { drain, fill, pause, until } from '../steps.ts'
import { slotsOf } from './slots.ts'

const [GOOD, BAD, RETRIES] = ['all succeed', '10 % fail, 1 % crash', 'retries on time']
const ERROR = { name: 'p99RetryMs', title: 'p99 retry late, ms', better: 'less' } as const
const QUEUE = queueName('default', 'bench')
/** Short, so that a drain does not end with an idle wait for the last retry. */
const BACKOFF_MS = { drain: 50, retries: 500 }

export const b13: Scenario = {
  id: 'B13',
  title: 'Drain with failures',
  about: `As B6; one job in ten fails once and comes again within ${BACKOFF_MS.drain} ms, one in a hundred ends its child once; jobs settled a second.`,
  peers: ['millhand-reuse'],
  variants: [GOOD, BAD, RETRIES],
  jobs: { warmUp: 1_000, most: 100_000 },
  figures: [...DRAIN_FIGURES, ERROR],
  async round(round) {
    await setBackoff(round, round.variant === RETRIES ? BACKOFF_MS.retries : BACKOFF_MS.drain)
    if (round.variant === RETRIES) return retries(round)
    await fill(round, round.count)
    const slots = slotsOf(round.peer.name)
    if (round.variant === GOOD) return drain(round, { slots, task: 'no-op' })
    return drain(
      round,
      { slots, task: 'fails' },
      { judge: (starts) => judge(starts, round.count, slots / 2) },
    )
  },
  criteria: (results) => [
    times(results, { peer: 'millhand-reuse', to: 'millhand-reuse', least: 0.7, variants: [BAD, GOOD] }),
    within(results, {
      peer: 'millhand-reuse',
      figure: ERROR.name,
      most: 50,
      unit: 'ms late (p99)',
      variant: RETRIES,
    }),
  ],
}

async function setBackoff({ place }: Round, backoffMs: number): Promise<void> {
  const redis = connectRedis(place.redisUrl)
  const settings = { ...defaultSettings, backoffMs, maxBackoffMs: backoffMs }
  await openQueue(redis, QUEUE).configure(settings)
  redis.close()
}

/** Jobs that shared a child with a crashed job run again too. */
function judge({ numbers }: Starts, count: number, neighbours: number): string[] {
  const times = new Map<number, number>()
  for (const n of numbers) times.set(n, (times.get(n) ?? 0) + 1)
  const isBad = (n: number) => n % 10 === 0 || n % 100 === 5
  const crashes = Math.ceil(count / 100)
  const expected = Array.from({ length: count }, (_, n) => (isBad(n) ? 2 : 1))
  const tooSeldom = expected.filter((least, n) => (times.get(n) ?? 0) < least).length
  const most = expected.reduce((sum, least) => sum + least, 0) + crashes * 3 * neighbours
  return [
    ...(tooSeldom > 0 ? [`${tooSeldom} jobs ran less often than they should`] : []),
    ...(numbers.length > most ? [`jobs ran ${numbers.length} times in all, more than ${most}`] : []),
  ]
}

/**
 * Failed jobs on an otherwise idle queue: Redis says when each is due again, the job itself when it began.
 */
async function retries(round: Round): Promise<Figures> {
  const { server, place, payload, peer } = round
  const prefix = prefixOf(QUEUE)
  const dueAtMs = new Map<number, number>()
  const look = async () => {
    const pairs = (await server.redis.call('ZRANGE', `${prefix}delayed`, 0, -1, 'WITHSCORES')) as unknown[]
    // Pairs or a flat list, depending on the version of the protocol.
    const flat = pairs.flat()
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const envelope = await server.redis.get(`${prefix}job:${flat[i]}`)
      const n = /"n":(\d+)/.exec(envelope ?? '')?.[1]
      if (n !== undefined) dueAtMs.set(Number(n), Number(flat[i + 1]))
    }
  }
  const worker = await round.startWorker({ slots: slotsOf(peer.name), task: 'fails' }).ready()
  const producer = await round.startProducer()
  // Only failing jobs, one at a time: multiples of ten.
  const numbers = Array.from({ length: 60 }, (_, i) => i * 10)
  for (const from of numbers) {
    await producer.ask({ do: 'one-by-one', from, count: 1, payload })
    await pause(20)
    await look()
  }
  const isDone = async () => {
    await look()
    return (await peer.unsettled?.(server.redis, place)) === 0
  }
  await until(isDone, 30_000, 'all settled')
  await worker.stop()
  const lastMicros = new Map<number, number>()
  const starts = readStarts(place.records)
  starts.numbers.forEach((n, i) => {
    lastMicros.set(n, Math.max(lastMicros.get(n) ?? 0, starts.atMicros[i] ?? 0))
  })
  const lateMs = [...dueAtMs].map(([n, due]) => (lastMicros.get(n) ?? 0) / 1_000 - due)
  if (starts.numbers.length !== 2 * numbers.length)
    round.fail(`${starts.numbers.length} runs of 60 jobs twice`)
  return { [ERROR.name]: percentile(lateMs, 0.99), jobs: lateMs.length }
}
