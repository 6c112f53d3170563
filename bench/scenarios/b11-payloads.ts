// B11: jobs with large payloads.
import { connect } from 'millhand/client'
import { type Connection, connectRedis, defaultSettings, openQueue, queueName } from 'millhand/queue'
import { treeUse } from '../processes.ts'
import {
  DRAIN_FIGURES,
  numberText,
  RATE,
  type Results,
  type Round,
  type Scenario,
  within,
} from '../scenario.ts'
import { drain, fill } from '../steps.ts'
import { slotsOf } from './slots.ts'

/** Bytes of a job's JSON, and how many jobs. */
const SIZES: Record<string, [number, number]> = {
  '100 B': [107, 30_000],
  '4 kB': [4_000, 20_000],
  '64 kB': [64_000, 3_000],
  '1 MB': [1_000_000, 300],
}
const RSS = { name: 'rssMiB', title: 'worker memory, MiB', better: 'less' } as const
const REFUSED = { name: 'overLimitRefused', title: 'over the limit refused', better: 'neither' } as const

export const b11: Scenario = {
  id: 'B11',
  title: 'Drain jobs with payloads',
  about: 'As B6, with jobs of different sizes; jobs settled a second.',
  peers: ['millhand-reuse', 'bullmq'],
  variants: Object.keys(SIZES),
  jobs: { warmUp: 0, most: 0 },
  hasWarmUp: false,
  figures: [...DRAIN_FIGURES, RSS, REFUSED],
  async round(round) {
    const [bytes = 0, most = 0] = SIZES[round.variant] ?? []
    const isOurs = round.peer.name.startsWith('millhand')
    const refused = isOurs ? { [REFUSED.name]: await refusesOverLimit(round) } : {}
    if (isOurs) await raiseLimit(round)
    const count = round.extent === 'quick' ? Math.ceil(most / 2) : most
    await fill(round, count, { payload: 'x'.repeat(bytes - 25), batch: Math.max(1, Math.floor(1e6 / bytes)) })
    const { figures, rssMiB } = await watched({ ...round, count })
    return { ...figures, [RSS.name]: rssMiB, ...refused }
  },
  criteria: (results) => [
    ...['4 kB', '64 kB'].map((size) => againstModel(results, size)),
    ...memoryBound(results),
    within(results, {
      peer: 'millhand-reuse',
      figure: REFUSED.name,
      least: 1,
      unit: 'refused of 1 over the limit',
      variant: '100 B',
    }),
  ],
}

/** The expected cost of a job: that of a tiny one, and that of its bytes at the rate of the largest ones. */
function againstModel(results: Results, size: string) {
  const rate = (variant: string) => results.figure('millhand-reuse', RATE.name, variant)?.median ?? Number.NaN
  const bytes = (variant: string) => SIZES[variant]?.[0] ?? 0
  const secondsAByte = (1 / rate('1 MB') - 1 / rate('100 B')) / bytes('1 MB')
  const expected = 1 / (1 / rate('100 B') + bytes(size) * secondsAByte)
  const share = rate(size) / expected
  return {
    text: `millhand-reuse, ${size}: at least 0.8 of what its bytes allow`,
    measured: Number.isNaN(share) ? 'not measured' : numberText(share),
    held: Number.isNaN(share) ? undefined : share >= 0.8,
  }
}

/** A payload is in memory as bytes from Redis, as text, in a message to a child, and as a value. */
function memoryBound(results: Results) {
  const rss = (variant: string) => results.figure('millhand-reuse', RSS.name, variant)
  const [small, big] = [rss('100 B'), rss('1 MB')]
  const allowedMiB = (4 * slotsOf('millhand-reuse') * 1e6) / 2 ** 20
  const grownMiB = (big?.median ?? 0) - (small?.median ?? 0)
  return [
    {
      text: `millhand-reuse, 1 MB: memory grows by no more than four copies of what its slots hold (${numberText(allowedMiB)} MiB)`,
      measured: small && big ? `${numberText(grownMiB)} MiB` : 'not measured',
      held: small && big && grownMiB <= allowedMiB,
    },
  ]
}

async function watched(round: Round) {
  let rssMiB = 0
  let timer: NodeJS.Timeout | undefined
  const startWorker: Round['startWorker'] = (...args) => {
    const worker = round.startWorker(...args)
    timer = setInterval(() => {
      rssMiB = Math.max(rssMiB, treeUse(worker.pid).rssBytes / 2 ** 20)
    }, 200)
    return worker
  }
  const options = { slots: slotsOf(round.peer.name), task: 'no-op' } as const
  const figures = await drain({ ...round, startWorker }, options).finally(() => clearInterval(timer))
  return { figures, rssMiB }
}

async function refusesOverLimit({ place }: Round): Promise<number> {
  const client = connect({ redis: place.redisUrl, namespace: 'default' })
  const tooMuch = { payload: 'x'.repeat(defaultSettings.maxPayloadBytes) }
  const refused = await client
    .queue('bench')
    .enqueue('no-op', tooMuch)
    .then(
      () => 0,
      (error) => (error.code === 'PAYLOAD_TOO_LARGE' ? 1 : 0),
    )
  client.close()
  return refused
}

async function raiseLimit({ place }: Round): Promise<void> {
  const redis: Connection = connectRedis(place.redisUrl)
  await openQueue(redis, queueName('default', 'bench')).configure({
    ...defaultSettings,
    maxPayloadBytes: 2e6,
  })
  redis.close()
}
