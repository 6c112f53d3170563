// One queue: its numbers, its rules, who serves it and how that is scaled, and what is wrong with it.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { Condition, Queue, QueueNow } from '../../src/api.ts'
import { address, send, sentence } from '../app/api.ts'
import { may, poll, snapshot } from '../app/live.ts'
import { brief, bytes, count, rate } from '../app/numbers.ts'
import { jobsOf, keyOf, moodOf, queueOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { to } from '../app/router.ts'
import { duration } from '../app/time.ts'
import { say } from '../app/toasts.ts'
import { Conditions } from '../parts/conditions.tsx'
import { Confirm } from '../parts/dialog.tsx'
import { Shown } from '../parts/feedback.tsx'
import { HistoryCard } from '../parts/history.tsx'
import { PoolTable } from '../parts/pools.tsx'
import { Problems } from '../parts/problems.tsx'
import { Blocked, Shares } from '../parts/queue-table.tsx'
import { Rests } from '../parts/rests.tsx'
import { Fact, Name, visible } from '../parts/show.tsx'

const LOOK_EVERY_MS = 5_000

export function QueuePage({ namespace, name }: { namespace: string; name: string }) {
  const queue = useResource<Queue>(address(['queues', namespace, name]), LOOK_EVERY_MS)
  return (
    <>
      <nav class="small" aria-label="Where this is">
        <a href={to(['queues'])}>‹ Queues</a>
      </nav>
      <Shown of={queue} what={`queue ${visible(name)}`} isPage>
        {(value) => <Known of={value} again={queue.again} />}
      </Shown>
    </>
  )
}

function Known({ of, again }: { of: Queue; again: () => void }) {
  // The snapshot is newer.
  const queue = queueOf(snapshot.value, keyOf(of.queue)) ?? of.queue
  const mood = moodOf(queue)
  return (
    <>
      <div class="page-head">
        <h1>
          <Name of={queue.name} />
        </h1>
        <span class={`state s-${mood.tone}`} title={mood.means}>
          {mood.word}
        </span>
        <span class="muted">{queue.namespace}</span>
        <Verbs queue={queue} again={again} />
      </div>
      {of.problems.length > 0 && <Problems problems={of.problems} />}
      {queue.numbers && <Numbers queue={queue} numbers={queue.numbers} />}
      <Rests of={of} again={again} />
      <HistoryCard namespace={queue.namespace} name={queue.name} />
      <section class="card" aria-label="Scaling">
        <div class="card-head">
          <h2>Workers and scaling</h2>
          <span class="more">
            <a href={to(['workers'], { queue: keyOf(queue) })}>Workers of this queue</a>
          </span>
        </div>
        {of.pools.length > 0 ? (
          <PoolTable pools={of.pools} />
        ) : (
          <p class="card-body muted">No WorkerPool serves this queue: its jobs wait until one does.</p>
        )}
      </section>
      <div class="split">
        <Rules of={of} />
        <section class="card" aria-label="Conditions">
          <div class="card-head">
            <h2>Conditions</h2>
          </div>
          <Conditions conditions={conditionsOf(queue, of)} />
        </section>
      </div>
    </>
  )
}

const conditionsOf = (queue: QueueNow, { queue: asked }: Queue): readonly Condition[] =>
  queue.conditions.length > 0 ? queue.conditions : asked.conditions

function Verbs({ queue, again }: { queue: QueueNow; again: () => void }) {
  const [isAsking, ask] = useState(false)
  const isPaused = queue.numbers?.isPaused === true
  const isAllowed = may('queues pause', queue.namespace)
  const change = async (reason: string) => {
    const path = address(['queues', queue.namespace, queue.name, isPaused ? 'resume' : 'pause'])
    try {
      await send('POST', path, isPaused || reason === '' ? {} : { reason })
      say(isPaused ? `Queue ${queue.name} goes on.` : `Queue ${queue.name} is paused.`, 'good')
      again()
      await poll()
    } catch (error) {
      say(sentence(error), 'bad')
    }
  }
  return (
    <div class="actions">
      <a class="button" href={jobsOf(queue)}>
        Jobs
      </a>
      <button
        type="button"
        class="button"
        disabled={!isAllowed || !queue.numbers}
        title={isAllowed ? undefined : `You may not pause queues in ${queue.namespace}.`}
        onClick={() => ask(true)}
      >
        {isPaused ? 'Resume' : 'Pause'}
      </button>
      {isAsking && (
        <Confirm
          close={() => ask(false)}
          question={{
            title: `${isPaused ? 'Resume' : 'Pause'} queue ${queue.name}?`,
            text: (
              <p>
                {isPaused
                  ? 'Workers claim its jobs again.'
                  : 'No job starts until it is resumed; what runs is finished. Jobs may still be enqueued.'}
              </p>
            ),
            verb: isPaused ? 'Resume' : 'Pause',
            jobs: 0,
            asksReason: !isPaused,
            run: change,
          }}
        />
      )}
    </div>
  )
}

function Numbers({ queue, numbers }: { queue: QueueNow; numbers: NonNullable<QueueNow['numbers']> }) {
  const { perSecond } = numbers
  return (
    <section class="card" aria-label="Numbers">
      <dl class="facts">
        <Amount name="Ready" value={numbers.ready} href={jobsOf(queue, 'state:ready')}>
          <Blocked n={numbers.blocked} />
        </Amount>
        <Fact name="Oldest waits">
          {numbers.oldestReadyMs === undefined ? '–' : duration(numbers.oldestReadyMs)}
        </Fact>
        <Amount name="Running" value={numbers.busy} href={jobsOf(queue, 'state:held')}>
          <span class="muted">
            {' '}
            of {brief(numbers.slots)} slots
            {numbers.maxBusy !== undefined && `, limit ${count(numbers.maxBusy)}`}
          </span>
        </Amount>
        <Amount name="Delayed" value={numbers.delayed} href={jobsOf(queue, 'state:delayed')}>
          {numbers.nextMs !== undefined && (
            <>
              {' '}
              <span class="muted nowrap">next in {duration(numbers.nextMs)}</span>
            </>
          )}
        </Amount>
        <Amount name="Buried" value={numbers.buried} href={jobsOf(queue, 'state:buried')} isBad />
        <Fact name="Done a minute">{perSecond ? rate(60 * perSecond.completed) : '–'}</Fact>
        <Fact name="In a minute">{perSecond ? rate(60 * perSecond.enqueued) : '–'}</Fact>
        <Fact name="Completed in all">{brief(numbers.completed)}</Fact>
      </dl>
      <div class="card-body">
        <Shares numbers={numbers} />
      </div>
    </section>
  )
}

function Amount({
  name,
  value,
  href,
  isBad = false,
  children,
}: {
  name: string
  value: number
  href: string
  isBad?: boolean
  children?: ComponentChildren
}) {
  return (
    <Fact name={name}>
      {value === 0 ? (
        '0'
      ) : (
        <a href={href} class={isBad ? 'danger' : undefined} title={count(value)}>
          {brief(value)}
        </a>
      )}
      {children}
    </Fact>
  )
}

function Rules({ of: { settings } }: { of: Queue }) {
  return (
    <section class="card" aria-label="Rules">
      <div class="card-head">
        <h2>Rules</h2>
        <span class="muted small">from its TaskQueue; a job may have its own</span>
      </div>
      <dl class="facts">
        <Fact name="Attempts">{count(settings.maxAttempts)}</Fact>
        <Fact name="Wait between attempts">
          {duration(settings.backoffMs)} to {duration(settings.maxBackoffMs)}
        </Fact>
        <Fact name="Timeout">{duration(settings.timeoutMs)}</Fact>
        <Fact name="Workers that may die with a job">{count(settings.maxCrashes)}</Fact>
        <Fact name="Most waiting jobs">{brief(settings.maxLength)}</Fact>
        <Fact name="Largest payload">{bytes(settings.maxPayloadBytes)}</Fact>
        <Fact name="Results are kept">
          {duration(settings.completedMaxAgeMs)}, at most {brief(settings.completedMaxCount)}
        </Fact>
        <Fact name="Buried jobs are kept">
          {duration(settings.buriedMaxAgeMs)}, at most {brief(settings.buriedMaxCount)}
        </Fact>
      </dl>
    </section>
  )
}
