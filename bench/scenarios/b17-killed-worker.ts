// B17: a worker is killed while it runs a job, and another worker takes the job over.
import { endThose, treeOf } from '../processes.ts'
import { percentile, readStarts } from '../records.ts'
import { type Figures, type Round, type Scenario, within } from '../scenario.ts'
import { nowMicros, until } from '../steps.ts'

const P50 = { name: 'p50Ms', title: 'p50 ms until it runs again', better: 'less' } as const
const MOST = { name: 'mostMs', title: 'longest ms', better: 'less' } as const
const TRIALS = { name: 'trials', title: 'kills', better: 'neither' } as const
const NEVER = { name: 'never', title: 'not again within 150 s', better: 'less' } as const
const AT_ONCE = 10
const PATIENCE_MS = 150_000

export const b17: Scenario = {
  id: 'B17',
  title: 'Until the job of a killed worker runs again',
  about:
    'kill -9 of a worker that runs a job, with a second worker idle on the same queue; ms until the job starts there.',
  peers: ['millhand-fork', 'bullmq'],
  jobs: { warmUp: 0, most: 20 },
  rounds: 1,
  hasWarmUp: false,
  figures: [P50, MOST, TRIALS, NEVER],
  round: trials,
  criteria: (results) => [
    within(results, { peer: 'millhand-fork', figure: P50.name, most: 7_000, unit: 'ms (p50)' }),
    within(results, {
      peer: 'millhand-fork',
      figure: MOST.name,
      most: 11_000,
      unit: 'ms (10 s and a sweep)',
    }),
    within(results, { peer: 'millhand-fork', figure: NEVER.name, most: 0, unit: 'never' }),
  ],
}

async function trials(round: Round): Promise<Figures> {
  const { extent, peer } = round
  const count =
    extent === 'full' && peer.name.startsWith('millhand') ? 200 : extent === 'quick' ? 4 : round.count
  const tookMs: number[] = []
  let never = 0
  for (let done = 0; done < count; done += AT_ONCE) {
    const size = Math.min(AT_ONCE, count - done)
    const some = Array.from({ length: size }, (_, i) => trial(round, done + i))
    for (const took of await Promise.all(some)) {
      if (took === undefined) never += 1
      else tookMs.push(took)
    }
  }
  if (tookMs.length === 0) return { [TRIALS.name]: count, [NEVER.name]: never }
  return {
    [P50.name]: percentile(tookMs, 0.5),
    [MOST.name]: percentile(tookMs, 1),
    [TRIALS.name]: count,
    [NEVER.name]: never,
  }
}

/** Each trial has its own server. The kills are spread over the interval of a heartbeat. */
async function trial(round: Round, at: number): Promise<number | undefined> {
  const server = await round.startServer()
  const place = { ...round.place, redisUrl: server.url, records: round.folder(`records-${at}`) }
  const options = { slots: 1, task: 'sleeps-long' } as const
  const victim = await round.startWorker(options, place).ready()
  const producer = await round.startProducer(place)
  await producer.ask({ do: 'one-by-one', from: 0, count: 1, payload: round.payload })
  const runs = () => readStarts(place.records).atMicros
  await until(() => runs().length === 1, 30_000, 'the job runs')
  const heir = await round.startWorker(options, place).ready()
  await new Promise((resolve) => setTimeout(resolve, 3_000 + (at % AT_ONCE) * 300))
  const family = treeOf(victim.pid)
  const killedAt = nowMicros()
  victim.child.kill('SIGKILL')
  const isAgain = await until(() => runs().length > 1, PATIENCE_MS, 'it runs again').then(
    () => true,
    () => false,
  )
  const lastRunAt = Math.max(...runs())
  for (const each of [producer, heir, victim]) await each.stop()
  endThose(family)
  await server.stop()
  return isAgain ? (lastRunAt - killedAt) / 1_000 : undefined
}
