// B5: B4 with a Redis that writes to disk.
import { DRAIN_FIGURES, RATE, type Scenario, times, within } from '../scenario.ts'
import { drain, fill } from '../steps.ts'
import { slotsOf } from './slots.ts'

const [NEVER, EVERYSEC, ALWAYS] = ['without AOF', 'AOF everysec', 'AOF always']

export const b5: Scenario = {
  id: 'B5',
  title: 'Drain with a durable Redis',
  about:
    'As B4, with an append-only file that is flushed every second, or before each answer; jobs settled a second.',
  peers: ['millhand-loop', 'bullmq'],
  variants: [NEVER, EVERYSEC, ALWAYS],
  jobs: { warmUp: 5_000, most: 300_000 },
  figures: DRAIN_FIGURES,
  settings: (variant) =>
    variant === NEVER ? {} : { appendonly: 'yes', appendfsync: variant === ALWAYS ? 'always' : 'everysec' },
  async round(round) {
    await fill(round, round.count)
    return drain(round, { slots: slotsOf(round.peer.name, 100), task: 'no-op' })
  },
  criteria: (results) => [
    times(results, { peer: 'millhand-loop', to: 'millhand-loop', least: 0.7, variants: [EVERYSEC, NEVER] }),
    within(results, {
      peer: 'millhand-loop',
      figure: RATE.name,
      least: 15_000,
      unit: 'jobs/s',
      variant: ALWAYS,
    }),
  ],
}
