// One job: what it is up to and why, its attempts on a line of time, its payload and result.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { FlowPlace, Job } from '../../src/api.ts'
import { actOn, type JobVerb, VERBS } from '../app/acting.ts'
import { address } from '../app/api.ts'
import { act } from '../app/bulk.ts'
import { useKeys } from '../app/keys.ts'
import { may } from '../app/live.ts'
import { bytes, count, plural } from '../app/numbers.ts'
import { jobHref, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { go, here, query, to } from '../app/router.ts'
import { duration } from '../app/time.ts'
import { Attempts } from '../parts/attempts.tsx'
import { Confirm, type Question } from '../parts/dialog.tsx'
import { Blank, Shown } from '../parts/feedback.tsx'
import { Icon } from '../parts/icons.tsx'
import { JsonView } from '../parts/json.tsx'
import { JsonOf } from '../parts/json-of.tsx'
import { Log } from '../parts/log.tsx'
import { Marks } from '../parts/marks.tsx'
import { BackToList } from '../parts/of-queue.tsx'
import { Copy, Fact, Lines, Name, When } from '../parts/show.tsx'
import { type ShownState, StateMark } from '../parts/state.tsx'
import { Timeline } from '../parts/timeline.tsx'
import { WhyCard } from '../parts/why.tsx'

const LOOK_EVERY_MS = 2_000
const ENDED = ['completed', 'cancelled', 'expired', 'buried']

interface JobProps {
  namespace: string
  queue: string
  id: string
}

export function JobPage(props: JobProps) {
  const { namespace, queue } = props
  const key = `${namespace}/${queue}`
  return <Found {...props} isPage leave={() => go(to(['jobs'], { queue: key }))} />
}

/** `isQuiet`: the keys belong to the list. */
export function JobBeside({ close, isQuiet, ...props }: JobProps & { close: () => void; isQuiet: boolean }) {
  const ref = useRef<HTMLElement>(null)
  useEffect(() => ref.current?.focus({ preventScroll: true }), [])
  const { namespace, queue, id } = props
  return (
    <section class="beside" aria-label={`Job ${id}`} tabIndex={-1} ref={ref}>
      <div class="beside-head">
        <a class="small" href={jobHref(namespace, queue, id)}>
          Open as a page
        </a>
        <button
          type="button"
          class="icon-button"
          aria-label="Close the job"
          title="Close (Esc)"
          onClick={close}
        >
          <Icon name="close" />
        </button>
      </div>
      <Found {...props} isPage={false} leave={close} isQuiet={isQuiet} />
    </section>
  )
}

interface FoundProps {
  isPage: boolean
  isQuiet?: boolean
  /** When the job is deleted. */
  leave: () => void
}

function Found({ namespace, queue, id, ...rest }: JobProps & FoundProps) {
  const path = address(['queues', namespace, queue, 'jobs', id])
  const job = useResource<Job>(path, LOOK_EVERY_MS)
  const key = `${namespace}/${queue}`
  const { isPage } = rest
  if (job.error?.status === 404)
    return (
      <section class="card">
        <Blank title="This job is not there, or not any more" isPage={isPage}>
          <p>
            Queue <Name of={key} /> has no job <Name of={id} mono />. What is completed, cancelled or buried
            is kept as long as its TaskQueue says.
          </p>
          <a href={to(['jobs'], { queue: key })}>Show the jobs that are there</a>
        </Blank>
      </section>
    )
  return (
    <Shown of={job} what="this job" isPage={isPage}>
      {(value) => <Known job={value} again={job.again} path={path} {...rest} />}
    </Shown>
  )
}

interface KnownProps extends FoundProps {
  job: Job
  again: () => void
  path: string
}

function Known({ job, again, path, isPage, isQuiet = false, leave }: KnownProps) {
  const key = `${job.namespace}/${job.queue}`
  const Heading = isPage ? 'h1' : 'h2'
  return (
    <>
      {isPage && <BackToList page="jobs" title="Jobs" queue={key} />}
      <div class="page-head">
        <Heading>
          <Name of={job.task} />
        </Heading>
        <StateMark state={shownState(job)} />
        <span class="nowrap id">
          <Name of={job.id} mono />
          <Copy text={job.id} what="the id" />
        </span>
        <Verbs job={job} queueKey={key} again={again} leave={leave} isQuiet={isQuiet} />
      </div>
      {!ENDED.includes(job.state) && <WhyCard job={job} path={path} again={again} />}
      <section class="card" aria-label="What is known">
        <Facts job={job} queueKey={key} />
        <Timeline job={job} />
      </section>
      <Tabs job={job} path={path} />
    </>
  )
}

const shownState = ({ state, attempts }: Job): ShownState =>
  state === 'delayed' && attempts > 0 ? 'retrying' : state

interface VerbsProps {
  job: Job
  queueKey: string
  again: () => void
  leave: () => void
  isQuiet: boolean
}

function Verbs({ job, queueKey, again, leave, isQuiet }: VerbsProps) {
  const [question, ask] = useState<Question | undefined>(undefined)
  const open = (verb: JobVerb) => {
    if (!job.can.includes(verb) || !may(`jobs ${verb}`, job.namespace)) return
    const { label, warning, isDangerous } = VERBS[verb]
    ask({
      title: `${label} this job?`,
      text: <p>{warning}</p>,
      verb: label,
      jobs: 1,
      isDangerous,
      async run() {
        if (verb !== 'delete') await actOn(queueKey, job.id, verb)
        else if (((await act(queueKey, { verb, ids: [job.id] }))?.done ?? 0) > 0) return leave()
        again()
      },
    })
  }
  const keys = [
    { keys: 'R', does: 'retry', run: () => open('retry') },
    { keys: 'C', does: 'cancel', run: () => open('cancel') },
    { keys: 'D', does: 'delete', run: () => open('delete') },
  ]
  useKeys(isQuiet ? [] : keys)
  return (
    <div class="actions">
      {(Object.keys(VERBS) as JobVerb[])
        .filter((verb) => job.can.includes(verb))
        .map((verb) => {
          const isAllowed = may(`jobs ${verb}`, job.namespace)
          return (
            <button
              key={verb}
              type="button"
              class={`button ${verb === 'retry' ? 'primary' : VERBS[verb].isDangerous ? 'dangerous' : ''}`}
              disabled={!isAllowed}
              title={isAllowed ? undefined : `You may not ${verb} jobs in ${job.namespace}.`}
              onClick={() => open(verb)}
            >
              {VERBS[verb].label}
            </button>
          )
        })}
      {question && <Confirm question={question} close={() => ask(undefined)} />}
    </div>
  )
}

function Facts({ job, queueKey }: { job: Job; queueKey: string }) {
  const cpuMs = (job.cpuUserMs ?? 0) + (job.cpuSystemMs ?? 0)
  return (
    <dl class="facts">
      <Fact name="Queue">
        <a href={to(['queues', job.namespace, job.queue])}>
          <Name of={queueKey} />
        </a>
      </Fact>
      {job.lane && <Lane of={job.lane} queueKey={queueKey} />}
      {job.flow && <FlowOf flow={job.flow} />}
      {job.tags && (
        <Fact name="Tags">
          <Marks of={job} queue={queueKey} />
        </Fact>
      )}
      <Fact name="Attempts">
        {count(job.attempts)} <span class="muted">of {count(job.maxAttempts)}</span>
        {job.crashes > 0 && <span class="danger"> · {count(job.crashes)} workers died</span>}
      </Fact>
      <Fact name="Enqueued">
        <When atMs={job.enqueuedAtMs} />
      </Fact>
      {job.dueAtMs !== undefined && (
        <Fact name="Due">
          <When atMs={job.dueAtMs} />
        </Fact>
      )}
      {job.escalatedTo && (
        <Fact name="Goes on in">
          <Name of={job.escalatedTo} mono />
        </Fact>
      )}
      {(job.endedAtMs ?? job.buriedAtMs) !== undefined && (
        <Fact name={job.state === 'buried' ? 'Buried' : 'Ended'}>
          <When atMs={job.endedAtMs ?? job.buriedAtMs} />
        </Fact>
      )}
      {job.worker && (
        <Fact name="Worker">
          <Name of={job.worker} mono />
        </Fact>
      )}
      {job.durationMs !== undefined && <Fact name="Ran">{duration(job.durationMs)}</Fact>}
      {cpuMs > 0 && <Fact name="Processor time">{duration(cpuMs)}</Fact>}
      {job.maxRssBytes !== undefined && <Fact name="Most memory">{bytes(job.maxRssBytes)}</Fact>}
      {job.timeoutMs !== undefined && <Fact name="Timeout">{duration(job.timeoutMs)}</Fact>}
      {job.isCancelling && <Fact name="Cancelling">its worker was told to end it</Fact>}
    </dl>
  )
}

/** The flow or batch of the job, and where it stands there. */
function FlowOf({ flow: { id, job, queue } }: { flow: NonNullable<Job['flow']> }) {
  const [namespace, name] = partsOf(queue ?? '')
  const mayLook = queue !== undefined && job !== undefined && may('flows get', namespace)
  const path = mayLook ? address(['queues', namespace, name, 'flows', id, 'jobs', job]) : undefined
  const { value } = useResource<FlowPlace>(path, LOOK_EVERY_MS)
  return (
    <Fact name={job === undefined ? 'Batch' : 'Flow'}>
      {queue === undefined ? <Name of={id} /> : <FlowLink id={id} job={job} queue={queue} />}
      {value && (
        <span class="cell-sub">
          <Name of={value.name} />, {count(value.flow.completed)} of {plural(value.flow.jobs, 'job')}{' '}
          completed
          {value.next.length > 0 && <Next of={value} />}
        </span>
      )}
    </Fact>
  )
}

function FlowLink({ id, job, queue }: { id: string; job: string | undefined; queue: string }) {
  return (
    <a href={to(['flows', ...partsOf(queue), id], { job })}>
      <Name of={id} />
    </a>
  )
}

function Next({ of: { next, nextAll } }: { of: FlowPlace }) {
  const named = next.slice(0, MOST_NEXT)
  const more = nextAll - named.length
  return (
    <>
      ; then <Name of={named.join(', ')} />
      {more > 0 && ` and ${plural(more, 'more job')}`}
    </>
  )
}
const MOST_NEXT = 3

/** `normal` or `normal/acme`. */
function Lane({ of, queueKey }: { of: string; queueKey: string }) {
  const [priority, key] = partsOfLane(of)
  return (
    <>
      <Fact name="Priority">
        <Name of={priority} />
      </Fact>
      {key !== undefined && (
        <Fact name="Key">
          <a href={to(['jobs'], { queue: queueKey, f: `key:${key}` })}>
            <Name of={key} />
          </a>
        </Fact>
      )}
    </>
  )
}

function partsOfLane(lane: string): [priority: string, key?: string] {
  const at = lane.indexOf('/')
  return at < 0 ? [lane] : [lane.slice(0, at), lane.slice(at + 1)]
}

interface Tab {
  name: string
  label: string
  show: () => ComponentChildren
}

function Tabs({ job, path }: { job: Job; path: string }) {
  const wanted = query.value.get('tab')
  const tabs = tabsOf(job, path, wanted === 'log')
  const current = tabs.find(({ name }) => name === wanted) ?? tabs[0]
  return (
    <section class="card" aria-label={current?.label}>
      <nav class="page-tabs" aria-label="Parts of the job">
        {tabs.map(({ name, label }) => (
          <a key={name} href={here({ tab: name })} aria-current={name === current?.name ? 'true' : undefined}>
            {label}
          </a>
        ))}
      </nav>
      {current?.show()}
    </section>
  )
}

/** What a person asks first comes first: the result of what is completed, else why it failed. A log stays when its job has ended. */
function tabsOf(job: Job, path: string, isLogOpen: boolean): Tab[] {
  const { progress, output, payloadBytes, resultBytes = 0 } = job
  const attempts = job.failures.length > 0 ? ` ${job.failures.length}` : ''
  const result: Tab = {
    name: 'result',
    label: `Result ${bytes(resultBytes)}`,
    show: () => <JsonOf path={`${path}/result`} what="result" />,
  }
  const payload: Tab = {
    name: 'payload',
    label: `Payload ${bytes(payloadBytes ?? 0)}`,
    show: () => <JsonOf path={`${path}/payload`} what="payload" />,
  }
  const log: Tab = { name: 'log', label: 'Log', show: () => <Log path={path} /> }
  const hasLog = isLogOpen || (!ENDED.includes(job.state) && may('jobs/output get', job.namespace))
  return [
    ...(job.state === 'completed' ? [result] : []),
    { name: 'attempts', label: `Failed attempts${attempts}`, show: () => <Attempts job={job} /> },
    ...(hasLog ? [log] : []),
    ...(payloadBytes === undefined ? [] : [payload]),
    ...(progress !== undefined
      ? [{ name: 'progress', label: 'Progress', show: () => <JsonView text={progress} isCut={false} /> }]
      : []),
    ...(output !== undefined
      ? [{ name: 'output', label: 'Output', show: () => <Lines of={output} what="Output" /> }]
      : []),
  ]
}
