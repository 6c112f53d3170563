// B3: an import or a fan-out with each peer's call for many jobs; and the memory of a waiting job in Redis.
import { ENQUEUE_FIGURES, RATE, type Scenario, times, within } from '../scenario.ts'
import { enqueue } from '../steps.ts'

export const b3: Scenario = {
  id: 'B3',
  title: 'Enqueue in bulk, 100 a call',
  about: "The peer's own call for many jobs, 100 at a time, each call awaited; acknowledged jobs a second.",
  peers: ['millhand-fork', 'bullmq', 'asynq', 'sidekiq', 'celery-prefork', 'rq', 'huey', 'dramatiq'],
  jobs: { warmUp: 5_000, most: 600_000 },
  isOfProducers: true,
  figures: ENQUEUE_FIGURES,
  async round(round) {
    const { count, payload } = round
    return (await enqueue(round, { do: 'bulk', from: 0, count, payload, batch: 100 }, { weigh: true })) ?? {}
  },
  criteria: (results) => [
    within(results, { peer: 'millhand-fork', figure: RATE.name, least: 150_000, unit: 'jobs/s' }),
    times(results, { peer: 'millhand-fork', to: 'bullmq', least: 10 }),
  ],
}
