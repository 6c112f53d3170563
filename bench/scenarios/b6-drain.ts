// B6: each product drains a backlog of tiny jobs, as its users run it.
import { DRAIN_FIGURES, RATE, type Scenario, times, within } from '../scenario.ts'
import { drain, fill } from '../steps.ts'
import { slotsOf } from './slots.ts'

export const b6: Scenario = {
  id: 'B6',
  title: 'Drain no-op jobs',
  about:
    'A backlog is enqueued, then a worker starts; jobs settled a second, from the first start to the last settlement.',
  peers: [
    'millhand-reuse',
    'millhand-reuse-100',
    'bullmq',
    'bullmq-1',
    'bullmq-sandboxed',
    'asynq',
    'sidekiq',
    'gearman',
    'celery-prefork',
    'rq-simple',
    'huey',
    'dramatiq',
  ],
  jobs: { warmUp: 3_000, most: 300_000 },
  figures: DRAIN_FIGURES,
  async round(round) {
    await fill(round, round.count)
    return drain(round, { slots: slotsOf(round.peer.name), task: 'no-op' })
  },
  criteria: (results) => [
    within(results, { peer: 'millhand-reuse', figure: RATE.name, least: 20_000, unit: 'jobs/s' }),
    // As many jobs at once on both sides.
    times(results, { peer: 'millhand-reuse-100', to: 'bullmq', least: 2 }),
    times(results, { peer: 'millhand-reuse', to: 'asynq', least: 1.5 }),
    times(results, { peer: 'millhand-reuse', to: 'bullmq-sandboxed', least: 5 }),
    times(results, { peer: 'millhand-reuse', to: 'huey', least: 4 }),
    times(results, { peer: 'millhand-reuse', to: 'celery-prefork', least: 20 }),
  ],
}
