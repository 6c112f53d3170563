// Failures of one kind as one row: what fails most, since when, and what can be done with all of it at once.
import type { ErrorDetails, ErrorGroup, ErrorGroups } from '../../src/api.ts'
import { address, send, sentence } from '../app/api.ts'
import { may } from '../app/live.ts'
import { brief, count, plural } from '../app/numbers.ts'
import { errorHref, jobHref, jobsOf, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { query } from '../app/router.ts'
import { now } from '../app/time.ts'
import { say } from '../app/toasts.ts'
import { BulkOnFilter } from '../parts/bulk-on-filter.tsx'
import { Blank, Shown } from '../parts/feedback.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { BackToList, ListOfQueue } from '../parts/of-queue.tsx'
import { Fact, Lines, Name, When } from '../parts/show.tsx'

const LOOK_EVERY_MS = 5_000
const NEW_FOR_MS = 3_600_000

export function ErrorsPage() {
  return (
    <ListOfQueue
      title="Errors"
      what="Error groups"
      first={(queues) => queues.find(({ numbers }) => (numbers?.buried ?? 0) > 0) ?? queues[0]}
    >
      {(queue) => <Groups queue={queue} />}
    </ListOfQueue>
  )
}

function Groups({ queue }: { queue: string }) {
  const cursor = query.value.get('at') ?? undefined
  const groups = useResource<ErrorGroups>(
    address(['queues', ...partsOf(queue), 'errors'], { cursor }),
    LOOK_EVERY_MS,
  )
  return (
    <Shown of={groups} what="errors">
      {({ groups: found, total, cursor: next }) =>
        found.length === 0 ? (
          <Blank icon="good" title="No attempt has failed">
            <p>Failures of one kind will be one row here, however many there are.</p>
          </Blank>
        ) : (
          <>
            <Table groups={found} queue={queue} />
            <PagesFoot
              total={plural(total, 'kind of failure', 'kinds of failures')}
              cursor={cursor}
              next={next}
              first="Last seen"
              further="Older"
            />
          </>
        )
      }
    </Shown>
  )
}

function Table({ groups, queue }: { groups: readonly ErrorGroup[]; queue: string }) {
  return (
    <div class="table-frame">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Failure</th>
            <th scope="col">Tasks</th>
            <th scope="col" class="number">
              Attempts
            </th>
            <th scope="col" class="number">
              Buried now
            </th>
            <th scope="col" class="number">
              First seen
            </th>
            <th scope="col" class="number">
              Last seen
            </th>
          </tr>
        </thead>
        <tbody>
          {groups.map((group) => (
            <tr key={group.group}>
              <td class="wide failure">
                <a class="strong" href={errorHref(queue, group.group)}>
                  <Name of={titleOf(group)} />
                </a>{' '}
                <Marks group={group} />
                <span class="cell-sub cut">
                  <Name of={group.message} />
                </span>
              </td>
              <td class="wide">
                <Name of={tasksOf(group)} />
              </td>
              <td class="number" data-label="attempts" title={count(group.count)}>
                {brief(group.count)}
              </td>
              <td class="number" data-label="buried now">
                {group.buried > 0 ? (
                  <a class="danger" href={jobsOf(queueOf(queue), filterOf(group))}>
                    {brief(group.buried)}
                  </a>
                ) : (
                  <span class="muted">0</span>
                )}
              </td>
              <td class="number" data-label="first seen">
                <When atMs={group.firstMs} />
              </td>
              <td class="number" data-label="last seen">
                <When atMs={group.lastMs} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const queueOf = (key: string) => {
  const [namespace, name] = partsOf(key)
  return { namespace, name }
}
const titleOf = ({ type, outcome }: ErrorGroup): string => type || outcome
const filterOf = ({ group }: ErrorGroup): string => `state:buried error:${group}`
const tasksOf = ({ tasks }: ErrorGroup): string =>
  Object.keys(tasks)
    .map((task) => task || 'others')
    .slice(0, 5)
    .join(', ')

function Marks({ group }: { group: ErrorGroup }) {
  return (
    <>
      {now.value - group.firstMs < NEW_FOR_MS && (
        <span class="state s-retrying" title="Seen first within the last hour">
          new
        </span>
      )}
      {group.isMuted && (
        <span class="state s-cancelled" title="A person has marked it as known">
          known
        </span>
      )}
    </>
  )
}

export function ErrorPage({ namespace, queue, group }: { namespace: string; queue: string; group: string }) {
  const key = `${namespace}/${queue}`
  const path = address(['queues', namespace, queue, 'errors', group])
  const details = useResource<ErrorDetails>(path, LOOK_EVERY_MS)
  return (
    <>
      <BackToList page="errors" title="Errors" queue={key} />
      <Shown of={details} what="this error" isPage>
        {(value) => <Known of={value} queue={key} path={path} again={details.again} />}
      </Shown>
    </>
  )
}

function Known({
  of,
  queue,
  path,
  again,
}: {
  of: ErrorDetails
  queue: string
  path: string
  again: () => void
}) {
  return (
    <>
      <div class="page-head">
        <h1>
          <Name of={titleOf(of)} />
        </h1>
        <span class="state s-buried">{of.outcome}</span>
        <Marks group={of} />
        <div class="actions">
          <BulkOnFilter
            queue={queue}
            verbs={['retry', 'delete']}
            filter={filterOf(of)}
            isDisabled={of.buried === 0}
            after={again}
          />
          <Mute of={of} queue={queue} path={path} again={again} />
        </div>
      </div>
      <section class="card" aria-label="What is known">
        <dl class="facts">
          <Fact name="Attempts that failed so">
            <Name of={count(of.count)} />
          </Fact>
          <Fact name="Jobs buried now">
            <Name of={count(of.buried)} />
          </Fact>
          <Fact name="First seen">
            <When atMs={of.firstMs} />
          </Fact>
          <Fact name="Last seen">
            <When atMs={of.lastMs} />
          </Fact>
          <Fact name="First seen with version">
            <Name of={of.version} />
          </Fact>
          <Fact name="Group">
            <Name of={of.group} />
          </Fact>
        </dl>
        <Lines of={of.message || 'No error was thrown.'} what="Message" />
      </section>
      <div class="split">
        <section class="card" aria-label="Tasks">
          <div class="card-head">
            <h2>Tasks</h2>
          </div>
          <dl class="facts">
            {Object.entries(of.tasks).map(([task, attempts]) => (
              <Fact key={task} name={task || 'others'}>
                {plural(attempts, 'attempt')}
              </Fact>
            ))}
          </dl>
        </section>
        <section class="card" aria-label="Buried jobs">
          <div class="card-head">
            <h2>Buried jobs</h2>
            <span class="more">
              <a href={jobsOf(queueOf(queue), filterOf(of))}>Show them with a filter</a>
            </span>
          </div>
          <ul class="card-body ids">
            {of.jobs.slice(0, 20).map((id) => (
              <li key={id}>
                <a href={jobHref(...partsOf(queue), id)}>
                  <Name of={id} mono />
                </a>
              </li>
            ))}
            {of.jobs.length === 0 && <li class="muted">None is buried now.</li>}
          </ul>
        </section>
      </div>
    </>
  )
}

function Mute({
  of,
  queue,
  path,
  again,
}: {
  of: ErrorDetails
  queue: string
  path: string
  again: () => void
}) {
  const isAllowed = may('errors update', partsOf(queue)[0])
  const change = async () => {
    try {
      await send('POST', `${path}/${of.isMuted ? 'unmute' : 'mute'}`)
      again()
    } catch (error) {
      say(sentence(error), 'bad')
    }
  }
  return (
    <button type="button" class="button" disabled={!isAllowed} onClick={() => void change()}>
      {of.isMuted ? 'Mark as not known' : 'Mark as known'}
    </button>
  )
}
