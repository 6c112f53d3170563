// Jobs that wait for each other: the flows that are kept in a queue, and how far each has come.
import type { Flow, Flows } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { plural } from '../app/numbers.ts'
import { partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { query, to } from '../app/router.ts'
import { Blank, Shown } from '../parts/feedback.tsx'
import { FlowProgress, FlowState } from '../parts/flow-facts.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { ListOfQueue } from '../parts/of-queue.tsx'
import { Name, When } from '../parts/show.tsx'

const LOOK_EVERY_MS = 3_000

export function FlowsPage() {
  return (
    <ListOfQueue title="Flows" what="Flows">
      {(queue) => <List queue={queue} />}
    </ListOfQueue>
  )
}

function List({ queue }: { queue: string }) {
  const cursor = query.value.get('at') ?? undefined
  const path = address(['queues', ...partsOf(queue), 'flows'], { cursor })
  const flows = useResource<Flows>(path, LOOK_EVERY_MS)
  return (
    <Shown of={flows} what="flows">
      {({ flows: found, total, cursor: next }) =>
        found.length === 0 && !cursor ? (
          <Blank icon="flows" title="No flow is kept in this queue">
            <p>
              A program starts one with client.start(flow): jobs that run behind others, with their results.
            </p>
          </Blank>
        ) : (
          <>
            <Table flows={found} queue={queue} />
            <PagesFoot
              total={plural(total, 'flow')}
              cursor={cursor}
              next={next}
              first="Newest"
              further="Older"
            />
          </>
        )
      }
    </Shown>
  )
}

function Table({ flows, queue }: { flows: readonly Flow[]; queue: string }) {
  return (
    <div class="table-frame">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Flow</th>
            <th scope="col">State</th>
            <th scope="col">Progress</th>
            <th scope="col" class="number">
              Started
            </th>
            <th scope="col" class="number">
              Ended
            </th>
          </tr>
        </thead>
        <tbody>
          {flows.map((each) => (
            <tr key={each.id}>
              <td class="wide">
                <a class="strong" href={to(['flows', ...partsOf(queue), each.id])}>
                  <Name of={each.id} />
                </a>
                {each.batch && <span class="cell-sub">{each.batch} batch</span>}
              </td>
              <td data-label="state">
                <FlowState of={each} />
              </td>
              <td class="wide">
                <FlowProgress of={each} />
              </td>
              <td class="number" data-label="started">
                <When atMs={each.startedAtMs} />
              </td>
              <td class="number" data-label="ended">
                <When atMs={each.endedAtMs} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
