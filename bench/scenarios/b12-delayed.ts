// B12: many jobs that are due at one moment, and a million that are due much later.
import { connectRedis, defaultSettings, openQueue, queueName } from 'millhand/queue'
import { judgeDelivery, percentile, readStarts } from '../records.ts'
import { type Figures, JOBS, type Round, type Scenario, within } from '../scenario.ts'
import { pause, untilDone } from '../steps.ts'
import { slotsOf } from './slots.ts'

const [TOGETHER, FAR] = ['due together', '1M due in a month']
const LATE = { name: 'p99LateMs', title: 'p99 late, ms', better: 'less' } as const
const PROMOTION = { name: 'promotion', title: 'idle commands/s for them', better: 'less' } as const
const SLOW = { name: 'slow', title: 'calls over 10 ms', better: 'less' } as const

export const b12: Scenario = {
  id: 'B12',
  title: 'Delayed jobs',
  about:
    '100,000 jobs come due at one moment, ms from then to the start; and a million wait for a month: what an idle worker asks for more.',
  peers: ['millhand-reuse', 'bullmq', 'asynq', 'asynq-eager', 'sidekiq'],
  variants: [TOGETHER, FAR],
  plays: (peer, variant) => variant === TOGETHER || peer === 'millhand-reuse',
  jobs: { warmUp: 0, most: 100_000 },
  rounds: 3,
  hasWarmUp: false,
  figures: [LATE, PROMOTION, SLOW, JOBS],
  round: (round) => (round.variant === FAR ? farAway(round) : together(round)),
  criteria: (results) => [
    within(results, {
      peer: 'millhand-reuse',
      figure: LATE.name,
      most: 3_000,
      unit: 'ms late (p99)',
      variant: TOGETHER,
    }),
    within(results, {
      peer: 'millhand-reuse',
      figure: PROMOTION.name,
      most: 1,
      unit: 'commands/s',
      variant: FAR,
    }),
    within(results, {
      peer: 'millhand-reuse',
      figure: SLOW.name,
      most: 0,
      unit: 'calls over 10 ms',
      variant: FAR,
    }),
  ],
}

async function together(round: Round): Promise<Figures> {
  const { count, payload, peer, place } = round
  const producer = await round.startProducer()
  const dueAtMs = Date.now() + 4_000 + count / 8
  const answer = await producer.ask({ do: 'delayed', from: 0, count, payload, dueAtMs, batch: 100 })
  await producer.stop()
  if ('unsupported' in answer) {
    round.note(answer.unsupported)
    return {}
  }
  if (Date.now() > dueAtMs - 1_500)
    throw new Error('enqueueing took so long that jobs were due before its end')
  const worker = await round.startWorker({ slots: slotsOf(peer.name), task: 'no-op' }).ready()
  await untilDone(round, count, 180_000)
  await worker.stop()
  const starts = readStarts(place.records)
  for (const problem of judgeDelivery(starts, count)) round.fail(problem)
  const late = starts.atMicros.map((at) => at / 1_000 - dueAtMs)
  const early = late.filter((ms) => ms < -1).length
  if (early > 0) round.fail(`${early} jobs started before they were due`)
  return { [LATE.name]: percentile(late, 0.99), jobs: count }
}

async function farAway(round: Round): Promise<Figures> {
  const { server, place, payload, peer } = round
  const count = 1_000_000
  const redis = connectRedis(place.redisUrl)
  await openQueue(redis, queueName('default', 'bench')).configure({
    ...defaultSettings,
    maxLength: 2 * count,
  })
  redis.close()
  await server.redis.config('SET', 'slowlog-log-slower-than', 10_000)
  const without = await idleCommands(round)
  const producer = await round.startProducer()
  const dueAtMs = Date.now() + 30 * 86_400_000
  await producer.ask({ do: 'delayed', from: 0, count, payload, dueAtMs, batch: 100 })
  await producer.stop()
  const waiting = await peer.unsettled?.(server.redis, place)
  if (waiting !== count) round.fail(`${count} jobs were enqueued, but ${waiting} wait`)
  const promotion = (await idleCommands(round)) - without
  const slow = Number(await server.redis.slowlog('LEN'))
  return { [PROMOTION.name]: promotion, [SLOW.name]: slow, jobs: count }
}

/** Commands a second of an idle worker, with those inside scripts. */
async function idleCommands(round: Round): Promise<number> {
  const worker = await round.startWorker({ slots: slotsOf(round.peer.name), task: 'no-op' }).ready()
  await pause(1_000)
  const seconds = round.extent === 'quick' ? 4 : 10
  const before = await round.server.doings()
  await pause(seconds * 1_000)
  const after = await round.server.doings()
  await worker.stop()
  return (after.commands - before.commands - 1) / seconds
}
