// B9: a program enqueues a job, waits for its result, and enqueues the next. Nothing else runs.
import { judgeDelivery, percentile, readStarts } from '../records.ts'
import { JOBS, RATE, type Scenario, within } from '../scenario.ts'
import { slotsOf } from './slots.ts'

export const b9: Scenario = {
  id: 'B9',
  title: 'Result in hand',
  about: "One job is enqueued and its result awaited with the peer's own call, then the next one; ms.",
  peers: [
    'millhand-reuse',
    'millhand-fork',
    'bullmq',
    'bullmq-sandboxed',
    'gearman',
    'celery-prefork',
    'huey',
    'dramatiq',
    'rq',
  ],
  jobs: { warmUp: 100, most: 3_000, step: 10 },
  figures: [
    { name: 'p50Ms', title: 'p50 ms', better: 'less' },
    { name: 'p99Ms', title: 'p99 ms', better: 'less' },
    JOBS,
  ],
  async round(round) {
    const { count, payload, peer, place } = round
    const worker = await round.startWorker({ slots: slotsOf(peer.name), task: 'no-op' }).ready()
    const producer = await round.startProducer()
    const answer = await producer.ask({ do: 'round-trips', from: 0, count, payload })
    await worker.stop()
    if ('unsupported' in answer) {
      round.note(answer.unsupported)
      return {}
    }
    for (const problem of judgeDelivery(readStarts(place.records), count)) round.fail(problem)
    const { latenciesMs = [], ms } = answer
    return {
      p50Ms: percentile(latenciesMs, 0.5),
      p99Ms: percentile(latenciesMs, 0.99),
      jobs: count,
      [RATE.name]: (count / ms) * 1_000,
    }
  },
  criteria: (results) => [
    within(results, { peer: 'millhand-reuse', figure: 'p50Ms', most: 1.4, unit: 'ms (p50)' }),
    within(results, { peer: 'millhand-reuse', figure: 'p99Ms', most: 5, unit: 'ms (p99)' }),
  ],
}
