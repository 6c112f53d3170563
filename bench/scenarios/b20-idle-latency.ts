// B20: one job at a time on a system that sleeps between jobs, as for a person or a web request. The figures
// depend on how many sleeping processes wake one after the other.
import { judgeDelivery, percentile, readStarts } from '../records.ts'
import { atMostTimes, type Figures, JOBS, type Round, type Scenario } from '../scenario.ts'
import { pause, untilDone } from '../steps.ts'
import { slotsOf } from './slots.ts'

const GAP_MS = 20
/** Programs are slow after their start, so the first jobs count for no figure. */
const WARMING = 20
const COUNTED = { quick: 60, normal: 150, full: 500 }

const START = { name: 'startP50Ms', title: 'enqueue to start, p50 ms', better: 'less' } as const
const RESULT = { name: 'resultP50Ms', title: 'enqueue to result, p50 ms', better: 'less' } as const
const ENQUEUE = { name: 'enqueueP50Ms', title: 'enqueue alone, p50 ms', better: 'less' } as const

export const b20: Scenario = {
  id: 'B20',
  title: 'One job on an idle system',
  about: `One job every ${GAP_MS} ms and more, when the one before has ended: ms from the call to the first line of the task; and, with other jobs, to the result in hand.`,
  peers: [
    'millhand-reuse',
    'millhand-fork',
    'bullmq',
    'bullmq-sandboxed',
    'sidekiq',
    'gearman',
    'asynq-eager',
    'celery-prefork',
    'rq',
    'huey',
    'dramatiq',
  ],
  jobs: { warmUp: 0, most: 0 },
  hasWarmUp: false,
  figures: [START, RESULT, ENQUEUE, JOBS],
  round: measure,
  criteria: (results) => [
    atMostTimes(results, { peer: 'millhand-reuse', to: 'bullmq', figure: START, most: 0.8 }),
    atMostTimes(results, { peer: 'millhand-fork', to: 'bullmq', figure: START, most: 1.2 }),
    atMostTimes(results, { peer: 'millhand-reuse', to: 'bullmq', figure: RESULT, most: 1 }),
    atMostTimes(results, { peer: 'millhand-fork', to: 'bullmq', figure: RESULT, most: 1.5 }),
  ],
}

async function measure(round: Round): Promise<Figures> {
  const { peer, place, payload, extent } = round
  const count = WARMING + COUNTED[extent]
  const worker = await round.startWorker({ slots: slotsOf(peer.name), task: 'no-op' }).ready()
  const producer = await round.startProducer()
  await pause(500)
  const spaced = { do: 'spaced', count, payload } as const
  const awaited = await producer.ask({ ...spaced, from: 0, gapMs: GAP_MS, awaits: 'result' })
  const results = 'unsupported' in awaited ? undefined : awaited.latenciesMs?.slice(WARMING)
  if ('unsupported' in awaited) round.note(awaited.unsupported)
  const [from, resultMs] = results ? [count, percentile(results, 0.5)] : [0, 0]
  // A slow peer gets a longer pause, so that it is idle at the next job too.
  const gapMs = Math.ceil(Math.max(GAP_MS, 2 * resultMs))
  const enqueued = await producer.ask({ ...spaced, from, gapMs, awaits: 'enqueue' })
  if ('unsupported' in enqueued) throw new Error(enqueued.unsupported)
  await untilDone(round, from + count)
  await worker.stop()

  const starts = readStarts(place.records)
  for (const problem of judgeDelivery(starts, from + count)) round.fail(problem)
  const { calledAtMicros = [], latenciesMs = [] } = enqueued
  const waits = starts.numbers.flatMap((n, i) => {
    const calledAt = n < from + WARMING ? undefined : calledAtMicros[n - from]
    return calledAt === undefined ? [] : [((starts.atMicros[i] ?? 0) - calledAt) / 1_000]
  })
  return {
    [START.name]: percentile(waits, 0.5),
    ...(results && { [RESULT.name]: resultMs }),
    [ENQUEUE.name]: percentile(latenciesMs.slice(WARMING), 0.5),
    jobs: from + count,
  }
}
