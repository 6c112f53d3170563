// What can be done with jobs, one by one: which states allow it, the words of the question, the call, and what is said about it.
import type { JobDone, JobRow } from '../../src/api.ts'
import { ApiError, address, send, sentence } from './api.ts'
import { plural } from './numbers.ts'
import { partsOf } from './queues.ts'
import { say } from './toasts.ts'

export type JobVerb = 'retry' | 'cancel' | 'delete'

interface VerbWords {
  label: string
  /** "3 jobs were …". */
  done: string
  states: readonly JobRow['state'][]
  warning: string
  isDangerous: boolean
  key: string
}

export const VERBS: Record<JobVerb, VerbWords> = {
  retry: {
    label: 'Retry',
    done: 'retried',
    states: ['buried', 'delayed'],
    warning: 'They are ready at once, with all their attempts. A job that did half its work does it again.',
    isDangerous: false,
    key: 'R',
  },
  cancel: {
    label: 'Cancel',
    done: 'cancelled',
    states: ['ready', 'delayed', 'held'],
    warning:
      'Those that wait never run. Those that run are told to end, and are killed when their time is up.',
    isDangerous: true,
    key: 'C',
  },
  delete: {
    label: 'Delete',
    done: 'deleted',
    states: ['buried', 'completed', 'cancelled'],
    warning: 'Payload, result and the record of their attempts are removed.',
    isDangerous: true,
    key: 'D',
  },
}

const AT_ONCE = 6

export interface Outcome {
  done: { id: string; state: JobDone['state'] }[]
  /** Those whose state no longer allows it. */
  skipped: { id: string; state: string | undefined; why: string }[]
  failed: { id: string; why: string }[]
}

export function actOn(queue: string, id: string, verb: JobVerb): Promise<JobDone> {
  const path = ['queues', ...partsOf(queue), 'jobs', id]
  return verb === 'delete' ? send('DELETE', address(path)) : send('POST', address([...path, verb]))
}

/** Few at once; each answer counts for itself. */
export async function actOnEach(queue: string, ids: readonly string[], verb: JobVerb): Promise<Outcome> {
  const outcome: Outcome = { done: [], skipped: [], failed: [] }
  const left = [...ids]
  const work = async () => {
    for (let id = left.shift(); id !== undefined; id = left.shift()) await actOnOne(queue, id, verb, outcome)
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  tell(outcome, verb)
  return outcome
}

async function actOnOne(queue: string, id: string, verb: JobVerb, outcome: Outcome): Promise<void> {
  try {
    const { state } = await actOn(queue, id, verb)
    outcome.done.push({ id, state })
  } catch (error) {
    const isLate = error instanceof ApiError && (error.status === 409 || error.status === 404)
    if (isLate) outcome.skipped.push({ id, state: error.state, why: error.message })
    else outcome.failed.push({ id, why: sentence(error) })
  }
}

function tell({ done, skipped, failed }: Outcome, verb: JobVerb): void {
  const parts = [
    done.length > 0 && `${plural(done.length, 'job was', 'jobs were')} ${VERBS[verb].done}.`,
    skipped.length === 1 && skipped[0]?.why,
    skipped.length > 1 && `${skipped.length} were skipped: their state no longer allows it.`,
    failed.length > 0 && `${plural(failed.length, 'job')} failed: ${failed[0]?.why}`,
  ]
  const tone = failed.length > 0 ? 'bad' : done.length > 0 ? 'good' : 'plain'
  say(parts.filter(Boolean).join(' '), tone)
}
