// B2: a web server that enqueues from many requests at once.
import { ENQUEUE_FIGURES, PRODUCERS, RATE, type Scenario, times, within } from '../scenario.ts'
import { enqueue } from '../steps.ts'

export const b2: Scenario = {
  id: 'B2',
  title: 'Enqueue 1,000 at once, each awaited',
  about:
    '1,000 calls for one job each are started in one tick, and again when all are acknowledged; acknowledged jobs a second.',
  peers: PRODUCERS,
  jobs: { warmUp: 3_000, most: 400_000, step: 1_000 },
  isOfProducers: true,
  figures: ENQUEUE_FIGURES,
  async round(round) {
    const { count, payload } = round
    return (await enqueue(round, { do: 'concurrent', from: 0, count, payload, width: 1_000 })) ?? {}
  },
  criteria: (results) => [
    within(results, { peer: 'millhand-fork', figure: RATE.name, least: 60_000, unit: 'jobs/s' }),
    times(results, { peer: 'millhand-fork', to: 'bullmq', least: 4 }),
  ],
}
