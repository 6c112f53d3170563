// How far a flow has come: its state in a word, its jobs in a line.
import type { Flow } from '../../src/api.ts'
import { count, plural } from '../app/numbers.ts'
import { Bar } from './bar.tsx'

const TONES = {
  running: 'held',
  failing: 'buried',
  compensating: 'retrying',
  cancelling: 'cancelled',
  completed: 'completed',
  failed: 'buried',
  cancelled: 'cancelled',
} as const

export const FlowState = ({ of: { state } }: { of: Flow }) => (
  <span class={`state s-${TONES[state]}`}>{state}</span>
)

export function FlowProgress({ of }: { of: Flow }) {
  const { jobs, completed, enqueued, waiting, failed, skipped } = of
  const text = [
    `${count(completed)} of ${plural(jobs, 'job')} completed`,
    enqueued > 0 && `${count(enqueued)} enqueued`,
    waiting > 0 && `${count(waiting)} waiting`,
    failed > 0 && `${count(failed)} failed`,
    skipped > 0 && `${count(skipped)} skipped`,
  ].filter(Boolean)
  const parts = [
    { tone: 'completed', n: completed },
    { tone: 'buried', n: failed },
    { tone: 'cancelled', n: skipped },
    { tone: 'held', n: enqueued },
    { tone: 'none', n: waiting },
  ]
  return (
    <>
      {text.join(' · ')}
      <Bar parts={parts} label={text.join(', ')} />
    </>
  )
}
