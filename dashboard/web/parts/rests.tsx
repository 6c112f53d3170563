// Rests that tasks asked for (RetryAfter): which there are, and the button that ends one.
import { useState } from 'preact/hooks'
import type { Queue, RestEnded } from '../../src/api.ts'
import { address, send, sentence } from '../app/api.ts'
import { may } from '../app/live.ts'
import { count } from '../app/numbers.ts'
import { jobsOf } from '../app/queues.ts'
import { say } from '../app/toasts.ts'
import { Confirm } from './dialog.tsx'
import { Name, When } from './show.tsx'

interface EndRestProps {
  /** "the key acme" */
  of: string
  /** The call that ends it. */
  path: string
  permission: 'queues pause' | 'jobs retry'
  namespace: string
  again: () => void
}

export function EndRest({ of, path, permission, namespace, again }: EndRestProps) {
  const [isAsking, ask] = useState(false)
  const isAllowed = may(permission, namespace)
  const run = async (reason: string) => {
    try {
      const { wasResting = true } = await send<Partial<RestEnded>>('POST', path, reason ? { reason } : {})
      say(wasResting ? `The rest of ${of} has ended.` : `There is no rest of ${of} any more.`, 'good')
      again()
    } catch (error) {
      say(sentence(error), 'bad')
    }
  }
  return (
    <>
      <button
        type="button"
        class="button small"
        disabled={!isAllowed}
        title={isAllowed ? undefined : `You may not do this in ${namespace}.`}
        aria-label={`End the rest of ${of}`}
        onClick={() => ask(true)}
      >
        End the rest
      </button>
      {isAsking && (
        <Confirm
          close={() => ask(false)}
          question={{
            title: `End the rest of ${of}?`,
            text: <p>What it held back may start now, though a task asked for a longer wait.</p>,
            verb: 'End the rest',
            jobs: 0,
            asksReason: true,
            run,
          }}
        />
      )}
    </>
  )
}

/** Those of the keys and of the queue itself. */
export function Rests({ of: { queue, rests }, again }: { of: Queue; again: () => void }) {
  if (!rests || rests.total === 0) return null
  const { namespace, name } = queue
  const of = (key: string | undefined) => (key === undefined ? 'the whole queue' : `the key ${key}`)
  const path = (key: string | undefined) =>
    address(['queues', namespace, name, ...(key === undefined ? [] : ['keys', key]), 'resume'])
  return (
    <section class="card" aria-label="Rests">
      <div class="card-head">
        <h2>Rests</h2>
        <span class="muted small">a task asked for them (RetryAfter)</span>
        {rests.total > rests.rests.length && (
          <span class="more muted">
            {count(rests.rests.length)} of {count(rests.total)}
          </span>
        )}
      </div>
      <ul class="times">
        {rests.rests.map(({ key, untilMs }) => (
          <li key={key ?? ''}>
            {key === undefined ? (
              'the whole queue'
            ) : (
              <a href={jobsOf(queue, `key:${key}`)}>
                <Name of={key} />
              </a>
            )}
            <span class="muted">
              ends <When atMs={untilMs} />
            </span>
            <EndRest
              of={of(key)}
              path={path(key)}
              permission="queues pause"
              namespace={namespace}
              again={again}
            />
          </li>
        ))}
      </ul>
    </section>
  )
}
