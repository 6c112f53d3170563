// B4: the queue itself: claim, a function call, settle, in one process.
import { DRAIN_FIGURES, RATE, type Scenario, times, within } from '../scenario.ts'
import { drain, fill } from '../steps.ts'
import { slotsOf } from './slots.ts'

export const b4: Scenario = {
  id: 'B4',
  title: 'Drain through the claim-settle loop alone',
  about:
    'Up to 500,000 no-op jobs wait, then one process works at 100 at once (peers with processes: twice the cores); jobs settled a second. Slower peers get fewer jobs.',
  peers: ['millhand-loop', 'bullmq', 'asynq', 'celery-prefork'],
  jobs: { warmUp: 5_000, most: 500_000, seconds: 8 },
  figures: DRAIN_FIGURES,
  async round(round) {
    await fill(round, round.count)
    return drain(round, { slots: slotsOf(round.peer.name, 100), task: 'no-op' })
  },
  criteria: (results) => [
    within(results, { peer: 'millhand-loop', figure: RATE.name, least: 50_000, unit: 'jobs/s' }),
    times(results, { peer: 'millhand-loop', to: 'bullmq', least: 5 }),
    times(results, { peer: 'millhand-loop', to: 'asynq', least: 4 }),
    times(results, { peer: 'millhand-loop', to: 'celery-prefork', least: 50 }),
    within(results, { peer: 'millhand-loop', figure: 'roundTrips', most: 0.2, unit: 'round trips a job' }),
  ],
}
