// B10: a Redis that is not on the same machine but a millisecond away.
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { startNode } from '../peers/node-package.ts'
import { Program } from '../processes.ts'
import { percentile } from '../records.ts'
import { DRAIN_FIGURES, RATE, type Round, type Scenario, times, within } from '../scenario.ts'
import { drain, fill } from '../steps.ts'
import { slotsOf } from './slots.ts'

const [NEAR, FAR] = ['on the same host', 'a millisecond away']
const PROXY = fileURLToPath(new URL('./delay-proxy.ts', import.meta.url))
const PING = { name: 'pingMs', title: 'ping, ms', better: 'neither' } as const

export const b10: Scenario = {
  id: 'B10',
  title: 'Drain with a distant Redis',
  about:
    'As B4, directly and through a proxy in a process of its own that holds back each answer by a millisecond; jobs settled a second.',
  peers: ['millhand-loop', 'bullmq', 'asynq'],
  variants: [NEAR, FAR],
  jobs: { warmUp: 5_000, most: 300_000 },
  figures: [...DRAIN_FIGURES, PING],
  async round(round) {
    await fill(round, round.count)
    const { place, server } = round
    const redisUrl = round.variant === FAR ? await startProxy(round) : server.url
    const options = { slots: slotsOf(round.peer.name, 100), task: 'no-op' } as const
    const figures = await drain(round, options, { place: { ...place, redisUrl } })
    return { ...figures, [PING.name]: await pingMs(redisUrl) }
  },
  criteria: (results) => [
    times(results, { peer: 'millhand-loop', to: 'millhand-loop', least: 0.6, variants: [FAR, NEAR] }),
    within(results, {
      peer: 'millhand-loop',
      figure: RATE.name,
      least: 23_500,
      unit: 'jobs/s',
      variant: FAR,
    }),
  ],
}

async function startProxy({ server, keep }: Round): Promise<string> {
  const proxy = keep(new Program(startNode([PROXY, new URL(server.url).port]), 'delay proxy'))
  const { port } = JSON.parse(await proxy.line(10_000))
  return `redis://127.0.0.1:${port}/0`
}

async function pingMs(url: string): Promise<number> {
  const redis = new Redis(url)
  const took: number[] = []
  for (let i = 0; i < 100; i += 1) {
    const before = performance.now()
    await redis.ping()
    took.push(performance.now() - before)
  }
  redis.disconnect()
  return percentile(took, 0.5)
}
