// Queues in a table: how each is, and how much of what it has.
import type { ComponentChildren } from 'preact'
import type { QueueNow } from '../../src/api.ts'
import { snapshot } from '../app/live.ts'
import { brief, count, rate } from '../app/numbers.ts'
import { jobsOf, keyOf, moodOf, shortName } from '../app/queues.ts'
import { to } from '../app/router.ts'
import { duration } from '../app/time.ts'
import { Bar } from './bar.tsx'
import { Name } from './show.tsx'

export function QueueTable({ queues }: { queues: readonly QueueNow[] }) {
  return (
    <div class="table-frame">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Queue</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Ready
            </th>
            <th scope="col" class="number">
              Oldest
            </th>
            <th scope="col" class="number">
              Running
            </th>
            <th scope="col" class="number">
              Delayed
            </th>
            <th scope="col" class="number">
              Buried
            </th>
            <th scope="col" class="number">
              Done a minute
            </th>
            <th scope="col" class="shares">
              <span class="hidden-visually">Shares</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {queues.map((queue) => (
            <Row key={keyOf(queue)} queue={queue} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Row({ queue }: { queue: QueueNow }) {
  const { numbers } = queue
  const mood = moodOf(queue)
  return (
    <tr>
      <td class="wide">
        <a class="strong" href={to(['queues', queue.namespace, queue.name])}>
          <Name of={shortName(queue, snapshot.value)} />
        </a>
      </td>
      <td>
        <span class={`state s-${mood.tone}`} title={mood.means}>
          {mood.word}
        </span>
      </td>
      {numbers ? (
        <>
          <Amount label="ready" value={numbers.ready} href={jobsOf(queue, 'state:ready')}>
            <Blocked n={numbers.blocked} />
          </Amount>
          <td class="number" data-label="oldest">
            {numbers.oldestReadyMs === undefined ? (
              <span class="muted">–</span>
            ) : (
              duration(numbers.oldestReadyMs)
            )}
          </td>
          <td class="number" data-label="running">
            <a href={jobsOf(queue, 'state:held')}>
              {brief(numbers.busy)} / {brief(numbers.slots)}
            </a>
          </td>
          <Amount label="delayed" value={numbers.delayed} href={jobsOf(queue, 'state:delayed')} />
          <Amount label="buried" value={numbers.buried} href={jobsOf(queue, 'state:buried')} isBad />
          <td class="number" data-label="done a minute">
            {numbers.perSecond ? rate(60 * numbers.perSecond.completed) : <span class="muted">–</span>}
          </td>
          <td class="wide shares">
            <Shares numbers={numbers} />
          </td>
        </>
      ) : (
        <td class="wide muted" colSpan={7}>
          {queue.unread?.message ?? 'Not read yet.'}
        </td>
      )}
    </tr>
  )
}

function Amount({
  label,
  value,
  href,
  isBad = false,
  children,
}: {
  label: string
  value: number
  href: string
  isBad?: boolean
  children?: ComponentChildren
}) {
  return (
    <td class="number" data-label={label}>
      {value === 0 ? (
        <span class="muted">0</span>
      ) : (
        <a href={href} class={isBad ? 'danger' : undefined} title={count(value)}>
          {brief(value)}
        </a>
      )}
      {children}
    </td>
  )
}

/** The part of the ready jobs that waits for the limit of its key. */
export function Blocked({ n }: { n: number }) {
  if (n === 0) return null
  return (
    <span class="muted nowrap" title={`The limits of their keys hold back ${count(n)} of them.`}>
      {' '}
      {brief(n)} blocked
    </span>
  )
}

export function Shares({ numbers }: { numbers: NonNullable<QueueNow['numbers']> }) {
  const { ready, blocked, busy, delayed, buried } = numbers
  const parts = [
    { tone: 'held', n: busy },
    { tone: 'ready', n: ready - blocked },
    { tone: 'blocked', n: blocked },
    { tone: 'delayed', n: delayed },
    { tone: 'buried', n: buried },
  ]
  return (
    <Bar
      parts={parts}
      label={`${count(busy)} running, ${count(ready - blocked)} ready, ${count(blocked)} blocked, ${count(delayed)} delayed, ${count(buried)} buried`}
    />
  )
}
