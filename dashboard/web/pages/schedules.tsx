// Jobs that come by the clock: when each schedule is due, how its last job went, what comes next.
import { useState } from 'preact/hooks'
import type { Schedule, ScheduleDetails, Schedules } from '../../src/api.ts'
import { address, send, sentence } from '../app/api.ts'
import { may } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { jobHref, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { go, query, to } from '../app/router.ts'
import { dateAndClock, duration, now } from '../app/time.ts'
import { say } from '../app/toasts.ts'
import { Confirm } from '../parts/dialog.tsx'
import { Blank, Shown } from '../parts/feedback.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { BackToList, ListOfQueue } from '../parts/of-queue.tsx'
import { Fact, Name, When } from '../parts/show.tsx'
import { StateMark } from '../parts/state.tsx'

const LOOK_EVERY_MS = 3_000
const WORTH_SAYING_MS = 60_000

export function SchedulesPage() {
  return (
    <ListOfQueue title="Schedules" what="Schedules">
      {(queue) => <List queue={queue} />}
    </ListOfQueue>
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

/** In words, and the cron as it is written. */
function Times({ of: { when, cron } }: { of: Schedule }) {
  return (
    <>
      <Name of={when} />
      {cron !== undefined && (
        <span class="cell-sub">
          <Name of={cron} mono />
        </span>
      )}
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
