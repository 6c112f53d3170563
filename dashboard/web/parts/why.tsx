// Why a job does not run: the first cause first, and what comes after it.
import type { Job, Why } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { useResource } from '../app/resource.ts'
import { Failed, Loading } from './feedback.tsx'
import { EndRest } from './rests.tsx'
import { Since, When } from './show.tsx'

const LOOK_EVERY_MS = 3_000

interface WhyProps {
  job: Pick<Job, 'namespace' | 'queue' | 'state'>
  path: string
  again: () => void
}

export function WhyCard({ job, path, again }: WhyProps) {
  const { state } = job
  const why = useResource<Why>(`${path}/why`, LOOK_EVERY_MS)
  const title = state === 'held' ? 'What does it do?' : 'Why is it not running?'
  return (
    <section class="card why" aria-label={title}>
      <div class="card-head">
        <h2>{title}</h2>
      </div>
      {why.value ? (
        <ol>
          {why.value.causes.map(({ code, text, sinceMs, untilMs, subject }, n) => (
            <li key={`${code} ${n}`}>
              <span class="order">{n === 0 ? 'now' : 'then'}</span>
              <span>
                {capital(text)}{' '}
                <span class="muted small">
                  {sinceMs !== undefined && (
                    <>
                      for <Since atMs={sinceMs} />{' '}
                    </>
                  )}
                  {untilMs !== undefined && <When atMs={untilMs} />}
                </span>{' '}
                <RestButton code={code} subject={subject} job={job} path={path} again={again} />
              </span>
            </li>
          ))}
        </ol>
      ) : why.error ? (
        <Failed error={why.error} what="why" again={why.again} />
      ) : (
        <Loading what="why" lines={1} />
      )}
    </section>
  )
}

/** Of the rest that holds this job back; a job that waits in a flow may name that of another one. */
function RestButton({
  code,
  subject = '',
  job: { namespace, queue, state },
  path,
  again,
}: WhyProps & { code: string; subject: string | undefined }) {
  const ofQueue = (...parts: string[]) => address(['queues', namespace, queue, ...parts, 'resume'])
  const props = { namespace, again }
  if (code === 'rests' && state === 'delayed')
    return <EndRest of="this job" path={`${path}/resume`} permission="jobs retry" {...props} />
  if (state !== 'ready') return null
  if (code === 'queue-rests')
    return <EndRest of={`queue ${queue}`} path={ofQueue()} permission="queues pause" {...props} />
  if (code === 'key-rests')
    return (
      <EndRest
        of={`the key ${subject}`}
        path={ofQueue('keys', subject)}
        permission="queues pause"
        {...props}
      />
    )
  return null
}

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)
