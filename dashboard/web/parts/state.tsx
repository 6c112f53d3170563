// The state of a job: colour, shape and word.
import type { JobRow } from '../../src/api.ts'
import { Icon } from './icons.tsx'

/** In the order in which a job comes through them. */
export const STATES: readonly JobRow['state'][] = [
  'ready',
  'delayed',
  'held',
  'buried',
  'completed',
  'cancelled',
  'expired',
]
export type ShownState = JobRow['state'] | 'blocked' | 'retrying'

export const MEANING: Record<ShownState, string> = {
  ready: 'It could run now: it waits for a free slot.',
  delayed: 'It is not due yet.',
  blocked: 'A limit or a pause holds it back.',
  held: 'A worker runs it.',
  retrying: 'An attempt failed: it waits for the next one.',
  completed: 'It is done.',
  cancelled: 'A person or a program cancelled it.',
  expired: 'It had not started by its time, and never runs.',
  buried: 'It failed and has no tries left: it is kept for a person to look at.',
}

export function StateMark({ state, children }: { state: ShownState; children?: preact.ComponentChildren }) {
  return (
    <span class={`state s-${state}`} title={MEANING[state]}>
      <Icon name={state} />
      {children ?? state}
    </span>
  )
}
