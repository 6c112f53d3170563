// What can be done with jobs: which states allow it, the words of the question, the call for one job. bulk.ts
// does it with many.
import type { JobDone, JobRow } from '../../src/api.ts'
import { address, send, sentence } from './api.ts'
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
    states: ['buried', 'completed', 'cancelled', 'expired'],
    warning: 'Payload, result and the record of their attempts are removed. It can be undone for a minute.',
    isDangerous: true,
    key: 'D',
  },
}

/** Says how it went; undefined where it did not. */
export async function actOn(
  queue: string,
  id: string,
  verb: 'retry' | 'cancel',
): Promise<JobDone | undefined> {
  try {
    const done = await send<JobDone>('POST', address(['queues', ...partsOf(queue), 'jobs', id, verb]))
    say(
      done.state === 'cancelling' ? 'Its worker was told to end it.' : `The job was ${VERBS[verb].done}.`,
      'good',
    )
    return done
  } catch (error) {
    say(sentence(error), 'bad')
    return undefined
  }
}
