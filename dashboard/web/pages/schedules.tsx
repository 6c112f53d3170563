// Jobs that come by the clock: when each schedule is due, how its last job went, what comes next.
import { useState } from 'preact/hooks'
import type { Schedule, ScheduleDetails, Schedules } from '../../src/api.ts'
import { address, send, sentence } from '../app/api.ts'
import { may, snapshot } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { jobHref, keyOf, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { go, query, to } from '../app/router.ts'
import { duration } from '../app/time.ts'
import { say } from '../app/toasts.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Blank, Loading, Shown } from '../parts/feedback.tsx'
import { QueueChoice } from '../parts/jobs-rail.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { Name, visible, When } from '../parts/show.tsx'
import { StateMark } from '../parts/state.tsx'
import { NoQueues } from './queues.tsx'

const LOOK_EVERY_MS = 3_000
const WORTH_SAYING_MS = 60_000

export function SchedulesPage() {
  const seen = snapshot.value
  if (!seen) return <Loading what="schedules" />
  const first = seen.queues[0]
  const key = query.value.get('queue') ?? (first && keyOf(first))
  return (
    <>
      <div class="page-head">
        <h1>Schedules</h1>
        {key !== undefined && <QueueChoice chosen={key} />}
      </div>
      <section class="card" aria-label="Schedules">
        {key === undefined ? <NoQueues /> : <List key={key} queue={key} />}
      </section>
    </>
  )
}

function List({ queue }: { queue: string }) {
  const cursor = query.value.get('at') ?? undefined
  const path = address(['queues', ...partsOf(queue), 'schedules'], { cursor })
  const schedules = useResource<Schedules>(path, LOOK_EVERY_MS)
  return (
    <Shown of={schedules} what="schedules">
      {({ schedules: found, total, cursor: next }) =>
        found.length === 0 ? (
          <Blank icon="delayed" title="No schedule in this queue">
            <p>A Schedule, or a program with queue.schedules.set(), enqueues jobs at fixed times.</p>
          </Blank>
        ) : (
          <>
            <Table schedules={found} queue={queue} />
            <PagesFoot
              total={plural(total, 'schedule')}
              cursor={cursor}
              next={next}
              first="Next due"
              further="Later"
            />
          </>
        )
      }
    </Shown>
  )
}

function Table({ schedules, queue }: { schedules: readonly Schedule[]; queue: string }) {
  return (
    <div class="table-frame">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Schedule</th>
            <th scope="col">When</th>
            <th scope="col" class="number">
              Next
            </th>
            <th scope="col" class="number">
              Last
            </th>
            <th scope="col">How it went</th>
            <th scope="col" class="number">
              Jobs
            </th>
          </tr>
        </thead>
        <tbody>
          {schedules.map((each) => (
            <tr key={each.name}>
              <td class="wide">
                <a class="strong" href={to(['schedules', ...partsOf(queue), each.name])}>
                  <Name of={each.name} />
                </a>{' '}
                <Rest of={each} />
                <span class="cell-sub cut">
                  <Name of={each.task} />
                </span>
              </td>
              <td class="wide">
                <Times of={each} />
              </td>
              <td class="number" data-label="next">
                <When atMs={each.nextAtMs} />
              </td>
              <td class="number" data-label="last">
                <When atMs={each.last?.firedAtMs} />
              </td>
              <td data-label="how it went">
                <LastState of={each} queue={queue} />
              </td>
              <td class="number" data-label="jobs">
                {count(each.fired)}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Rest({ of }: { of: Schedule }) {
  if (of.isSuspended)
    return (
      <span class="state s-blocked" title="What declares it suspends it">
        suspended
      </span>
    )
  if (of.isPaused)
    return (
      <span class="state s-blocked" title="A person has paused it">
        paused
      </span>
    )
  return of.isLate ? (
    <span class="state s-buried" title="It is due and nobody has enqueued its job: is the queue full?">
      late
    </span>
  ) : null
}

function Times({ of: { cron, everyMs, timeZone } }: { of: Schedule }) {
  if (cron === undefined) return <>every {duration(everyMs ?? 0)}</>
  return (
    <>
      <Name of={cron} mono />
      <span class="cell-sub">
        <Name of={timeZone ?? 'UTC'} />
      </span>
    </>
  )
}

function LastState({ of: { last }, queue }: { of: Schedule; queue: string }) {
  if (!last) return <span class="muted">–</span>
  return (
    <>
      <a href={jobHref(...partsOf(queue), last.id)}>
        {last.state ? <StateMark state={last.state} /> : 'ended'}
      </a>
      {last.lateMs >= WORTH_SAYING_MS && <span class="cell-sub">{duration(last.lateMs)} late</span>}
    </>
  )
}

export function SchedulePage({ namespace, queue, name }: { namespace: string; queue: string; name: string }) {
  const key = `${namespace}/${queue}`
  const path = address(['queues', namespace, queue, 'schedules', name])
  const details = useResource<ScheduleDetails>(path, LOOK_EVERY_MS)
  return (
    <>
      <nav class="small" aria-label="Where this is">
        <a href={to(['schedules'], { queue: key })}>‹ Schedules of {visible(key)}</a>
      </nav>
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
        <Rest of={of} />
        <Verbs of={of} queue={queue} path={path} again={again} />
      </div>
      <section class="card" aria-label="What is known">
        <dl class="facts">
          <Fact name="When">
            <Times of={of} />
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
          <ol class="card-body ids">
            {of.next.map((atMs) => (
              <li key={atMs}>
                <When atMs={atMs} />
              </li>
            ))}
            {of.next.length === 0 && <li class="muted">Nothing is due while it rests.</li>}
          </ol>
        </section>
        <section class="card" aria-label="Last jobs">
          <div class="card-head">
            <h2>Last jobs</h2>
          </div>
          <ol class="card-body ids">
            {of.runs.map(({ id, dueAtMs, state }) => (
              <li key={id}>
                <a href={jobHref(...partsOf(queue), id)}>
                  <When atMs={dueAtMs} />
                </a>{' '}
                {state && <StateMark state={state} />}
              </li>
            ))}
            {of.runs.length === 0 && <li class="muted">None is kept.</li>}
          </ol>
        </section>
      </div>
    </>
  )
}

const OVERLAPS = {
  Allow: 'the next one runs beside it',
  Forbid: 'the time is skipped',
  Replace: 'it is cancelled',
} as const

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

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
            text: <p>Nothing of it is due any more. Its jobs stay.</p>,
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
