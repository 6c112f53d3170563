// B22: jobs that wait for each other: the cost of such a job compared with a plain one.
import type { Shape } from '../peer.ts'
import { DRAIN_FIGURES, type Round, type Scenario, times } from '../scenario.ts'
import { drain, fill } from '../steps.ts'
import { slotsOf } from './slots.ts'

const SIZE = 10
const PLAIN = 'plain'
const SHAPES: readonly Shape[] = ['chain', 'group', 'chord']

export const b22: Scenario = {
  id: 'B22',
  title: 'Drain jobs that wait for each other',
  about: `Flows of ${SIZE} no-op jobs are enqueued, then a worker starts; jobs started a second, from the first to the last. ${PLAIN}: the same number of jobs that wait for none.`,
  peers: ['millhand-reuse', 'bullmq', 'celery-prefork'],
  variants: [PLAIN, ...SHAPES],
  // A group of BullMQ is its call for many jobs.
  plays: (peer, variant) => !(peer === 'bullmq' && variant === 'group'),
  jobs: { warmUp: 1_000, most: 60_000, step: SIZE },
  figures: DRAIN_FIGURES,
  async round(round) {
    const { variant, count, payload } = round
    if (variant === PLAIN) await fill(round, count)
    else {
      const producer = await round.startProducer()
      await producer.ask({ do: 'flows', shape: variant as Shape, from: 0, count, payload, size: SIZE })
      await producer.stop()
    }
    return drain(byStarts(round), { slots: slotsOf(round.peer.name), task: 'no-op' })
  },
  criteria: (results) => [
    ...SHAPES.map((shape) =>
      times(results, {
        peer: 'millhand-reuse',
        to: 'millhand-reuse',
        least: 0.67,
        variants: [shape, PLAIN],
      }),
    ),
    ...['bullmq', 'celery-prefork'].map((to) =>
      times(results, { peer: 'millhand-reuse', to, least: 1, variants: ['chord', 'chord'] }),
    ),
  ],
}

/** In some peers a job that waits for others does not exist yet, so the bench counts starts for all peers. */
const byStarts = (round: Round): Round => ({ ...round, peer: { ...round.peer, unsettled: undefined } })
