// Jobs that come by the clock: when each schedule is due, and how its last job went.
import type { Schedule, Schedules } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { count, plural } from '../app/numbers.ts'
import { jobHref, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { query, to } from '../app/router.ts'
import { duration } from '../app/time.ts'
import { Blank, Shown } from '../parts/feedback.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { ListOfQueue } from '../parts/of-queue.tsx'
import { ScheduleRest, ScheduleTimes } from '../parts/schedule-facts.tsx'
import { Name, When } from '../parts/show.tsx'
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
        found.length === 0 && !cursor ? (
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
                <ScheduleRest of={each} />
                <span class="cell-sub cut">
                  <Name of={each.task} />
                </span>
              </td>
              <td class="wide">
                <ScheduleTimes of={each} />
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
