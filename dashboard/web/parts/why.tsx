// Why a job does not run: the first cause first, and what comes after it.
import type { Job, Why } from '../../src/api.ts'
import { useResource } from '../app/resource.ts'
import { Failed, Loading } from './feedback.tsx'
import { Since, When } from './show.tsx'

const LOOK_EVERY_MS = 3_000

export function WhyCard({ path, state }: { path: string; state: Job['state'] }) {
  const why = useResource<Why>(`${path}/why`, LOOK_EVERY_MS)
  const title = state === 'held' ? 'What does it do?' : 'Why is it not running?'
  return (
    <section class="card why" aria-label={title}>
      <div class="card-head">
        <h2>{title}</h2>
      </div>
      {why.value ? (
        <ol>
          {why.value.causes.map(({ code, text, sinceMs, untilMs }, n) => (
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
                </span>
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

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1)
