// What each task of a queue took over a time, the slowest first.
import type { History } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { tasksOf } from '../app/history.ts'
import { count } from '../app/numbers.ts'
import { jobsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { duration } from '../app/time.ts'
import { Shown } from './feedback.tsx'
import { Name } from './show.tsx'

interface Props {
  namespace: string
  name: string
  lastMs: number
  everyMs: number
}

const SERIES = 'completed,failed,run.p50,run.p95,wait.p95'
const LONGEST_STEP_MS = 864_000_000
const MOST_TASKS = 20

export function TaskTable({ namespace, name, lastMs, everyMs }: Props) {
  const stepMs = Math.min(lastMs, LONGEST_STEP_MS)
  const asked = { series: SERIES, by: 'task', lastMs, stepMs }
  const history = useResource<History>(address(['queues', namespace, name, 'history'], asked), everyMs)
  return (
    <Shown of={history} what="the tasks">
      {(value) => <Table tasks={tasksOf(value).slice(0, MOST_TASKS)} queue={{ namespace, name }} />}
    </Shown>
  )
}

interface Queue {
  namespace: string
  name: string
}

function Table({ tasks, queue }: { tasks: ReturnType<typeof tasksOf>; queue: Queue }) {
  if (tasks.length === 0) return null
  const time = (ms: number | null) => (ms === null ? <span class="muted">–</span> : duration(ms))
  return (
    <>
      <div class="card-head">
        <h3>Tasks</h3>
        <span class="muted small">the slowest first</span>
      </div>
      <div class="table-frame">
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">Task</th>
              <th scope="col" class="number">
                Completed
              </th>
              <th scope="col" class="number">
                Failed
              </th>
              <th scope="col" class="number">
                Half ran less than
              </th>
              <th scope="col" class="number">
                95 % ran less than
              </th>
              <th scope="col" class="number">
                95 % waited less than
              </th>
            </tr>
          </thead>
          <tbody>
            {tasks.map(({ task, completed, failed, runHalf, run95, wait95 }) => (
              <tr key={task}>
                <td class="wide">
                  <a href={jobsOf(queue, `task:${task}`)}>
                    <Name of={task} />
                  </a>
                </td>
                <td class="number" data-label="completed">
                  {count(completed)}
                </td>
                <td class={`number ${failed > 0 ? 'danger' : ''}`} data-label="failed">
                  {count(failed)}
                </td>
                <td class="number" data-label="half ran less than">
                  {time(runHalf)}
                </td>
                <td class="number" data-label="95 % ran less than">
                  {time(run95)}
                </td>
                <td class="number" data-label="95 % waited less than">
                  {time(wait95)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  )
}
