// The words of a line in the tree of a flow.
import type { FlowLine } from '@millhand/control/decide/flow-tree'
import { oneLine } from './printable.ts'
import { counted } from './units.ts'

const MOST_NAMED = 3

/** Like `part.*  9,998 completed, 2 enqueued`. */
export function stateText({ states, jobs }: FlowLine): string {
  const [only] = states.keys()
  if (jobs.length === 1) return only ?? ''
  return [...states].map(([state, count]) => `${count} ${state}`).join(', ')
}

export function alsoText({ also }: FlowLine): string {
  if (also.length === 0) return ''
  const named = also.slice(0, MOST_NAMED).join(', ')
  const more = also.length > MOST_NAMED ? ` and ${counted(also.length - MOST_NAMED, 'more job')}` : ''
  return oneLine(`also behind ${named}${more}`)
}
