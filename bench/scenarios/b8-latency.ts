// B8: how long a job waits for its start while others come at random. The wait counts from the planned
// enqueue, so that a queue that stalls cannot hide the delay (coordinated omission).
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { judgeDelivery, percentile, readStarts } from '../records.ts'
import type { Figures, Round, Scenario } from '../scenario.ts'
import { numberText, RATE, within } from '../scenario.ts'
import { untilDone } from '../steps.ts'
import { hasProcesses, slotsOf } from './slots.ts'

const SHARES: Record<string, number> = { 'at 10 %': 0.1, 'at 50 %': 0.5, 'at 80 %': 0.8 }
const EQUAL = "at BullMQ's 50 %"
const SECONDS = { quick: 3, normal: 6, full: 20 }
const CAPACITY = 'capacity'
const WARMING = 10_000
/** For peers with a process for each job: a drain of as many jobs takes as long. */
const WARMING_PROCESSES = 500

export const b8: Scenario = {
  id: 'B8',
  title: 'From enqueue to start, at a rate',
  about:
    'Jobs come at random (Poisson), at a share of what the peer can enqueue and settle at once; ms from the planned enqueue to the start.',
  peers: ['millhand-reuse', 'millhand-fork', 'bullmq', 'asynq', 'asynq-eager', 'sidekiq', 'gearman'],
  variants: [...Object.keys(SHARES), EQUAL],
  plays: (peer, variant) => variant !== EQUAL || peer === 'millhand-reuse',
  jobs: { warmUp: 0, most: 0 },
  figures: [
    { name: 'p50Ms', title: 'p50 ms', better: 'less' },
    { name: 'p99Ms', title: 'p99 ms', better: 'less' },
    { name: 'p999Ms', title: 'p99.9 ms', better: 'less' },
    { name: 'offered', title: 'offered jobs/s', better: 'neither' },
    { name: CAPACITY, title: 'capacity jobs/s', better: 'more' },
  ],
  round: (round) => (round.isWarmUp ? measureCapacity(round) : measureLatency(round)),
  criteria(results) {
    const ours = (name: string, most: number) =>
      within(results, {
        peer: 'millhand-reuse',
        figure: name,
        most,
        unit: `ms (${name.slice(0, -2)})`,
        variant: 'at 50 %',
      })
    const [mine, theirs] = [
      results.figure('millhand-reuse', 'p50Ms', EQUAL),
      results.figure('bullmq', 'p50Ms', 'at 50 %'),
    ]
    return [
      ours('p50Ms', 1),
      ours('p99Ms', 5),
      ours('p999Ms', 20),
      {
        text: 'millhand-reuse: p50 no longer than bullmq at an equal rate',
        measured:
          mine && theirs ? `${numberText(mine.median)} to ${numberText(theirs.median)} ms` : 'not measured',
        held: mine && theirs && mine.median <= theirs.median,
      },
    ]
  },
}

/** Producer and worker share the machine, so the capacity is less than that of each alone. */
async function measureCapacity(round: Round): Promise<Figures> {
  const { payload, peer } = round
  const count = warmingOf(peer.name)
  const worker = await round.startWorker({ slots: slotsOf(peer.name), task: 'no-op' }).ready()
  const producer = await round.startProducer()
  const before = performance.now()
  await producer.ask({ do: 'concurrent', from: 0, count, payload, width: 100 })
  await untilDone(round, count)
  const seconds = (performance.now() - before) / 1_000
  await worker.stop()
  return { [CAPACITY]: count / seconds }
}

async function measureLatency(round: Round): Promise<Figures> {
  const { peer, variant, place, payload, extent } = round
  const capacity = (
    variant === EQUAL ? round.earlier('bullmq', 'at 50 %') : round.earlier(peer.name, variant)
  )?.[CAPACITY]
  if (!capacity) throw new Error('the capacity is not known: its warm-up failed')
  const offered = capacity * (SHARES[variant] ?? 0.5)
  const planned = poisson(offered, SECONDS[extent])
  const schedule = join(round.folder('schedule'), 'poisson.txt')
  writeFileSync(schedule, planned.map((at) => `${at}\n`).join(''))

  const worker = await round.startWorker({ slots: slotsOf(peer.name), task: 'no-op' }).ready()
  const producer = await round.startProducer()
  // Programs are slow after their start, which is not the latency of a running system.
  const [from, warming] = [planned.length, warmingOf(peer.name)]
  await producer.ask({ do: 'concurrent', from, count: warming, payload, width: 100 })
  await untilDone(round, warming)
  const answer = await producer.ask({ do: 'paced', from: 0, payload, schedule })
  if ('unsupported' in answer) throw new Error(answer.unsupported)
  await untilDone(round, planned.length + warming)
  await worker.stop()

  const starts = readStarts(place.records)
  for (const problem of judgeDelivery(starts, planned.length + warming)) round.fail(problem)
  const waits = starts.numbers.flatMap((n, i) => {
    const plannedAt = planned[n]
    return plannedAt === undefined
      ? []
      : [((starts.atMicros[i] ?? 0) - answer.startedAtMicros - plannedAt) / 1_000]
  })
  return {
    p50Ms: percentile(waits, 0.5),
    p99Ms: percentile(waits, 0.99),
    p999Ms: percentile(waits, 0.999),
    offered,
    [CAPACITY]: capacity,
    [RATE.name]: offered,
  }
}

const warmingOf = (peer: string): number => (hasProcesses(peer) ? WARMING_PROCESSES : WARMING)

/**
 * Times in µs, the same in each run, so that all peers get the same bursts. The first one is late enough for
 * the producer to be awake.
 */
function poisson(aSecond: number, seconds: number): number[] {
  const times: number[] = []
  let seed = 20_261_122
  const random = () => {
    seed = (seed * 48_271) % 2_147_483_647
    return seed / 2_147_483_647
  }
  for (let at = 0.1; at < seconds; at += -Math.log(random()) / aSecond) times.push(Math.round(at * 1e6))
  return times
}
