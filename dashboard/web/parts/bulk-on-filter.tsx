// Buttons that do something with all jobs of a filter: counted first, then asked, then done.
import { useState } from 'preact/hooks'
import type { ActionCount } from '../../src/api.ts'
import { type JobVerb, VERBS } from '../app/acting.ts'
import { sentence } from '../app/api.ts'
import { act, countJobs } from '../app/bulk.ts'
import { may } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { partsOf } from '../app/queues.ts'
import { say } from '../app/toasts.ts'
import { Confirm, type Question } from './dialog.tsx'
import { Name } from './show.tsx'

interface Props {
  queue: string
  filter: string
  verbs: readonly JobVerb[]
  isDisabled?: boolean
  after: () => void
}

export function BulkOnFilter({ queue, filter, verbs, isDisabled = false, after }: Props) {
  const [question, ask] = useState<Question | undefined>(undefined)
  const [namespace] = partsOf(queue)
  const open = async (verb: JobVerb) => {
    try {
      const counted = await countJobs(queue, verb, filter)
      if (counted.count === 0) say(`No job that matches can be ${VERBS[verb].done} now.`)
      else ask(questionOn(counted, { queue, filter, verb, after }))
    } catch (error) {
      say(sentence(error), 'bad')
    }
  }
  return (
    <>
      {verbs.map((verb) => {
        const isAllowed = may('actions create', namespace) && may(`jobs ${verb}`, namespace)
        return (
          <button
            key={verb}
            type="button"
            class={`button ${VERBS[verb].isDangerous ? 'dangerous' : 'primary'}`}
            disabled={isDisabled || !isAllowed}
            title={isAllowed ? undefined : `You may not ${verb} jobs in ${namespace}.`}
            onClick={() => void open(verb)}
          >
            {VERBS[verb].label} all
          </button>
        )
      })}
      {question && <Confirm question={question} close={() => ask(undefined)} />}
    </>
  )
}

interface Asked {
  queue: string
  filter: string
  verb: JobVerb
  after: () => void
}

function questionOn(
  { count: found, isExact, samples }: ActionCount,
  { queue, filter, verb, after }: Asked,
): Question {
  const { label, warning, isDangerous } = VERBS[verb]
  return {
    title: `${label} ${isExact ? '' : 'at least '}${plural(found, 'job')}?`,
    text: (
      <>
        <p>{warning}</p>
        <p class="muted small">
          All that match <code>{filter || 'no filter: every job'}</code> now; those that come later are left
          out. Among them:{' '}
          {samples.map(({ id, task }, n) => (
            <span key={id}>
              {n > 0 && ', '}
              <Name of={`${task} ${id}`} />
            </span>
          ))}
          .
        </p>
      </>
    ),
    verb: `${label} ${count(found)}`,
    jobs: found,
    isDangerous,
    asksReason: true,
    async run(reason) {
      await act(queue, { verb, filter, expectedCount: found, ...(reason && { reason }) })
      after()
    },
  }
}
