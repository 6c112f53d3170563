// One schedule: when it is due next, its last jobs, and what a person can do with it.
import { useState } from 'preact/hooks'
import type { ScheduleDetails } from '../../src/api.ts'
import { address, send, sentence } from '../app/api.ts'
import { may } from '../app/live.ts'
import { count } from '../app/numbers.ts'
import { jobHref, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { go, to } from '../app/router.ts'
import { dateAndClock, duration, now } from '../app/time.ts'
import { say } from '../app/toasts.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Shown } from '../parts/feedback.tsx'
import { BackToList } from '../parts/of-queue.tsx'
import { ScheduleRest, ScheduleTimes } from '../parts/schedule-facts.tsx'
import { Fact, Name } from '../parts/show.tsx'
import { StateMark } from '../parts/state.tsx'

const LOOK_EVERY_MS = 3_000

export function SchedulePage({ namespace, queue, name }: { namespace: string; queue: string; name: string }) {
  const key = `${namespace}/${queue}`
  const path = address(['queues', namespace, queue, 'schedules', name])
  const details = useResource<ScheduleDetails>(path, LOOK_EVERY_MS)
  return (
    <>
      <BackToList page="schedules" title="Schedules" queue={key} />
      <Shown of={details} what="this schedule" isPage>
        {(value) => <Known of={value} queue={key} path={path} again={details.again} />}
      </Shown>
    </>
  )
}

interface KnownProps {
  of: ScheduleDetails
  queue: string
  path: string
  again: () => void
}

function Known({ of, queue, path, again }: KnownProps) {
  return (
    <>
      <div class="page-head">
        <h1>
          <Name of={of.name} />
        </h1>
        <ScheduleRest of={of} />
        <Verbs of={of} queue={queue} path={path} again={again} />
      </div>
      <section class="card" aria-label="What is known">
        <dl class="facts">
          <Fact name="When">
            <ScheduleTimes of={of} />
          </Fact>
          <Fact name="Task">
            <Name of={of.task} />
          </Fact>
          <Fact name="When the last job has not ended">{OVERLAPS[of.overlap]}</Fact>
          <Fact name="Set by">
            <Name of={of.owner ?? 'a program or a person'} />
          </Fact>
          <Fact name="Jobs so far">{count(of.fired)}</Fact>
          <Fact name="Skipped so far">{count(of.skipped)}</Fact>
        </dl>
      </section>
      <div class="split">
        <section class="card" aria-label="Next times">
          <div class="card-head">
            <h2>Next</h2>
          </div>
          {of.next.length === 0 ? (
            <p class="card-body muted">Nothing is due while it rests.</p>
          ) : (
            <ol class="times">
              {of.next.map((atMs) => (
                <li key={atMs}>
                  <span>{dateAndClock(atMs)}</span>
                  <span class="muted">in {duration(atMs - toTheSecond(now.value))}</span>
                </li>
              ))}
            </ol>
          )}
        </section>
        <section class="card" aria-label="Last jobs">
          <div class="card-head">
            <h2>Last jobs</h2>
          </div>
          {of.runs.length === 0 ? (
            <p class="card-body muted">None is kept.</p>
          ) : (
            <ol class="times">
              {of.runs.map(({ id, dueAtMs, state }) => (
                <li key={id}>
                  <a href={jobHref(...partsOf(queue), id)}>{dateAndClock(dueAtMs)}</a>
                  {state && <StateMark state={state} />}
                </li>
              ))}
            </ol>
          )}
        </section>
      </div>
    </>
  )
}

const toTheSecond = (ms: number) => Math.floor(ms / 1_000) * 1_000

const OVERLAPS = {
  Allow: 'the next one runs beside it',
  Forbid: 'the time is skipped',
  Replace: 'it is cancelled',
} as const

function Verbs({ of, queue, path, again }: KnownProps) {
  const [isAsking, ask] = useState(false)
  const [namespace] = partsOf(queue)
  const act = async (work: () => Promise<string>) => {
    try {
      say(await work(), 'good')
      again()
    } catch (error) {
      say(sentence(error), 'bad')
    }
  }
  const run = async () => {
    const { id } = await send<{ id: string }>('POST', `${path}/run`)
    return `The job ${id} is enqueued.`
  }
  const pause = async () => {
    await send('POST', `${path}/${of.isPaused ? 'resume' : 'pause'}`)
    return of.isPaused ? 'The schedule goes on.' : 'The schedule is paused.'
  }
  const remove = async () => {
    await send('DELETE', path)
    go(to(['schedules'], { queue }))
    return `The schedule ${of.name} is deleted.`
  }
  return (
    <div class="actions">
      <button
        type="button"
        class="button"
        disabled={!may('schedules update', namespace)}
        onClick={() => void act(run)}
      >
        Run now
      </button>
      <button
        type="button"
        class="button"
        disabled={!may('schedules pause', namespace)}
        onClick={() => void act(pause)}
      >
        {of.isPaused ? 'Resume' : 'Pause'}
      </button>
      {of.owner === undefined && (
        <button
          type="button"
          class="button"
          disabled={!may('schedules delete', namespace)}
          onClick={() => ask(true)}
        >
          Delete
        </button>
      )}
      {isAsking && (
        <Confirm
          close={() => ask(false)}
          question={{
            title: `Delete the schedule ${of.name}?`,
            text: <p>It enqueues no more jobs. Those that are there stay.</p>,
            verb: 'Delete',
            jobs: 0,
            isDangerous: true,
            run: () => void act(remove),
          }}
        />
      )}
    </div>
  )
}
