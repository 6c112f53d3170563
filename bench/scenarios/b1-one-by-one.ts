// B1: a program that enqueues one job after the other, each awaited.
import { ENQUEUE_FIGURES, PRODUCERS, RATE, type Scenario, times, within } from '../scenario.ts'
import { enqueue } from '../steps.ts'

export const b1: Scenario = {
  id: 'B1',
  title: 'Enqueue one by one',
  about: 'One producer enqueues, each call awaited before the next; acknowledged jobs a second.',
  peers: PRODUCERS,
  jobs: { warmUp: 2_000, most: 50_000 },
  isOfProducers: true,
  figures: ENQUEUE_FIGURES,
  async round(round) {
    const { count, payload } = round
    return (await enqueue(round, { do: 'one-by-one', from: 0, count, payload })) ?? {}
  },
  criteria: (results) => [
    within(results, { peer: 'millhand-fork', figure: RATE.name, least: 8_000, unit: 'jobs/s' }),
    times(results, { peer: 'millhand-fork', to: 'bullmq', least: 1.5 }),
    within(results, { peer: 'millhand-fork', figure: 'roundTrips', most: 1.001, unit: 'round trips a job' }),
  ],
}
