// The keys of millhand top that change a queue. Each asks first: app.ts does.
import { type ActionVerb, type JobState, type Queue, RedisUnavailable } from 'millhand/queue'
import type { Deed, Row, ViewKey } from './view.ts'

type Became = JobState | 'cancelling' | 'deleted' | 'key-taken' | undefined

export interface JobDeed {
  key: string
  verb: ActionVerb
  act(queue: Queue, id: string): Promise<Became>
  done: readonly Became[]
  became: string
  /** Of several: they are so. */
  many: string
  rule: string
}

export const JOB_DEEDS: readonly JobDeed[] = [
  {
    key: 'R',
    verb: 'retry',
    act: async (queue, id) => (await queue.retry([id]))[0],
    done: ['ready'],
    became: 'is ready again',
    many: 'ready again',
    rule: 'only buried jobs can be retried',
  },
  {
    key: 'C',
    verb: 'cancel',
    act: (queue, id) => queue.cancel(id),
    done: ['cancelled', 'cancelling'],
    became: 'is cancelled, or is being ended by its worker',
    many: 'cancelled, or being ended by their workers',
    rule: 'only jobs that wait or run can be cancelled',
  },
  {
    key: 'D',
    verb: 'delete',
    act: async (queue, id) => (await queue.delete([id]))[0],
    done: ['deleted'],
    became: 'is deleted',
    many: 'deleted',
    rule: 'only buried and ended jobs can be deleted',
  },
]

/** `only`: of the view of one job, which has no rows. */
export function jobDeeds(queue: Queue, label: string, only?: string): ViewKey[] {
  const idOf = (row: Row | undefined) => only ?? row?.key
  return JOB_DEEDS.map(({ key, verb, act, done, became, rule }) => {
    const deed: Deed = {
      question(row) {
        const id = idOf(row)
        return id === undefined ? undefined : `${verb} job ${id} of ${label}?`
      },
      async act(row) {
        const id = idOf(row) ?? ''
        const state = await act(queue, id)
        if (done.includes(state)) return `job ${id} ${became}`
        if (state === 'key-taken') return `job ${id} stays buried: another job has its unique key`
        return state === 'unknown' ? `job ${id} is not known any more` : `job ${id} is ${state}; ${rule}`
      },
    }
    return { key, label: verb, deed }
  })
}

/** P: pauses a queue, or resumes one that is paused. */
export function pauseDeed(queue: Queue, label: string): Deed {
  return {
    question: () => `pause ${label}, or resume it if it is paused?`,
    async act() {
      const { paused, suspended } = await queue.depth()
      if (!paused) {
        await queue.pause()
        return `${label} is paused: no worker claims its jobs`
      }
      await queue.resume()
      return `${label} is no longer paused${suspended ? ', but its TaskQueue suspends it (spec.suspend)' : ''}`
    },
  }
}

/** A write without an answer may have been done. */
export const failureOf = (error: unknown): string => {
  const message = error instanceof Error ? error.message : String(error)
  return error instanceof RedisUnavailable ? `it may have been done: ${message}` : message
}
