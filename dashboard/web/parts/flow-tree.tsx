// The jobs of a flow, each below the one that it waits for longest, with why those that are open do not run.
import type { FlowLine, Why } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { may } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { jobHref, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { Bar } from './bar.tsx'
import { Icon } from './icons.tsx'
import { Name } from './show.tsx'
import type { ShownState } from './state.tsx'

const LOOK_EVERY_MS = 3_000
/** Of so many jobs it is asked why they do not run. */
const MOST_ASKED = 10
const MOST_NAMED = 3
/** Deeper ones stand below each other: a chain may be long, and a screen is not. */
const DEEPEST = 8

const TONES: Readonly<Record<string, ShownState>> = {
  ...{ waiting: 'delayed', enqueued: 'held', completed: 'completed', compensated: 'retrying' },
  ...{ buried: 'buried', expired: 'buried', 'too-large': 'buried', taken: 'buried' },
}
/** Also of a state that a newer version has. */
const toneOf = (state: string): ShownState => TONES[state] ?? 'cancelled'

interface Props {
  lines: readonly FlowLine[]
  /** Absent where it cannot be done now. */
  retryFrom: ((job: string) => void) | undefined
}

export function FlowTree({ lines, retryFrom }: Props) {
  const asked = new Set(lines.filter(isEnqueued).slice(0, MOST_ASKED))
  return (
    <ol class="tree">
      {lines.map((line) => (
        <li
          key={line.name}
          style={{ marginInlineStart: `calc(${Math.min(line.depth, DEEPEST)} * var(--step))` }}
        >
          <States of={line} />
          <span>
            <span class="hidden-visually">level {line.depth + 1}: </span>
            <JobName of={line} />{' '}
            <span class="muted small">
              <Name of={line.queue ?? line.queueName} />
            </span>{' '}
            {retryFrom && line.jobs === 1 && (
              <button
                type="button"
                class="link-button small"
                aria-label={`Retry from here: ${line.name}`}
                onClick={() => retryFrom(line.name)}
              >
                Retry from here
              </button>
            )}
            <span class="cell-sub">
              <Behind of={line} />
              {asked.has(line) && <WhyText of={line} />}
            </span>
          </span>
        </li>
      ))}
    </ol>
  )
}

const isEnqueued = ({ id, queue, states }: FlowLine): boolean =>
  id !== undefined && queue !== undefined && states[0]?.state === 'enqueued'

export function States({ of: { jobs, states } }: { of: FlowLine }) {
  const [only] = states
  if (jobs === 1 && only) {
    const tone = toneOf(only.state)
    return (
      <span class={`state s-${tone}`}>
        <Icon name={tone} />
        <Name of={only.state} />
      </span>
    )
  }
  const text = states.map((each) => `${count(each.jobs)} ${each.state}`).join(', ')
  return (
    <span>
      <span class="small">{text}</span>
      <Bar parts={states.map((each) => ({ tone: toneOf(each.state), n: each.jobs }))} label={text} />
    </span>
  )
}

export function JobName({ of: { id, queue, name, jobs } }: { of: FlowLine }) {
  if (id !== undefined && queue !== undefined)
    return (
      <a class="strong" href={jobHref(...partsOf(queue), id)}>
        <Name of={name} />
      </a>
    )
  return (
    <>
      <span class="strong">
        <Name of={name} />
      </span>
      {jobs > 1 && ` ${plural(jobs, 'job')}`}
    </>
  )
}

/** Of one that waits: what holds it back. Of another: what is not seen in the tree. */
function Behind({ of: { after, afterAll, afterOpen, states } }: { of: FlowLine }) {
  const isWaiting = states[0]?.state === 'waiting'
  const all = isWaiting ? afterOpen : afterAll
  if (isWaiting ? all === 0 : all < 2) return null
  const named = after.slice(0, Math.min(all, MOST_NAMED))
  return (
    <>
      {isWaiting ? 'waits for ' : 'behind '}
      {named.map((name, n) => (
        <>
          {n > 0 && ', '}
          <Name of={name} />
        </>
      ))}
      {all > named.length && ` and ${plural(all - named.length, 'more job')}`}{' '}
    </>
  )
}

function WhyText({ of: { id = '', queue = '' } }: { of: FlowLine }) {
  const [namespace, name] = partsOf(queue)
  const path = address(['queues', namespace, name, 'jobs', id, 'why'])
  const { value, error } = useResource<Why>(may('jobs get', namespace) ? path : undefined, LOOK_EVERY_MS)
  if (error?.status === 404) return <>on its way to its queue</>
  const [first] = value?.causes ?? []
  return value ? (
    <>
      {value.state}
      {first && `: ${first.text}`}
    </>
  ) : null
}
