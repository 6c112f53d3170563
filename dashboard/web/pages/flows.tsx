// Jobs that wait for each other: the flows that are kept in a queue, and each of them as a tree of its jobs.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import type { Flow, FlowDetails, FlowDone, Flows } from '../../src/api.ts'
import { address, send, sentence } from '../app/api.ts'
import { useKeys } from '../app/keys.ts'
import { may, snapshot } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { keyOf, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { query, to } from '../app/router.ts'
import { say } from '../app/toasts.ts'
import { Bar } from '../parts/bar.tsx'
import { Confirm, type Question } from '../parts/dialog.tsx'
import { Blank, Loading, Shown } from '../parts/feedback.tsx'
import { FlowTree } from '../parts/flow-tree.tsx'
import { QueueChoice } from '../parts/jobs-rail.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { Copy, Name, visible, When } from '../parts/show.tsx'
import { NoQueues } from './queues.tsx'

const LOOK_EVERY_MS = 3_000

export function FlowsPage() {
  const seen = snapshot.value
  if (!seen) return <Loading what="flows" />
  const first = seen.queues[0]
  const key = query.value.get('queue') ?? (first && keyOf(first))
  return (
    <>
      <div class="page-head">
        <h1>Flows</h1>
        {key !== undefined && <QueueChoice chosen={key} />}
      </div>
      <section class="card" aria-label="Flows">
        {key === undefined ? <NoQueues /> : <List key={key} queue={key} />}
      </section>
    </>
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
                <State of={each} />
              </td>
              <td class="wide">
                <Progress of={each} />
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

const TONES = {
  running: 'held',
  failing: 'buried',
  compensating: 'retrying',
  cancelling: 'cancelled',
  completed: 'completed',
  failed: 'buried',
  cancelled: 'cancelled',
} as const

const State = ({ of: { state } }: { of: Flow }) => <span class={`state s-${TONES[state]}`}>{state}</span>

function Progress({ of }: { of: Flow }) {
  const { jobs, completed, running, waiting, failed, skipped } = of
  const text = [
    `${count(completed)} of ${plural(jobs, 'job')} completed`,
    running > 0 && `${count(running)} running`,
    waiting > 0 && `${count(waiting)} waiting`,
    failed > 0 && `${count(failed)} failed`,
    skipped > 0 && `${count(skipped)} skipped`,
  ].filter(Boolean)
  const parts = [
    { tone: 'completed', n: completed },
    { tone: 'buried', n: failed },
    { tone: 'cancelled', n: skipped },
    { tone: 'held', n: running },
    { tone: 'none', n: waiting },
  ]
  return (
    <>
      {text.join(' · ')}
      <Bar parts={parts} label={text.join(', ')} />
    </>
  )
}

export function FlowPage({ namespace, queue, id }: { namespace: string; queue: string; id: string }) {
  const key = `${namespace}/${queue}`
  const path = address(['queues', namespace, queue, 'flows', id])
  const details = useResource<FlowDetails>(path, LOOK_EVERY_MS)
  return (
    <>
      <nav class="small" aria-label="Where this is">
        <a href={to(['flows'], { queue: key })}>‹ Flows of {visible(key)}</a>
      </nav>
      <Shown of={details} what="this flow" isPage>
        {(value) => <Known of={value} queue={key} path={path} again={details.again} />}
      </Shown>
    </>
  )
}

interface KnownProps {
  of: FlowDetails
  queue: string
  path: string
  again: () => void
}

function Known({ of, queue, path, again }: KnownProps) {
  return (
    <>
      <div class="page-head">
        <h1>
          <Name of={of.id} />
        </h1>
        <Copy text={of.id} what="the id" />
        <State of={of} />
        <Verbs of={of} queue={queue} path={path} again={again} />
      </div>
      <section class="card" aria-label="What is known">
        <div class="card-body">
          <Progress of={of} />
        </div>
        <dl class="facts">
          <Fact name="Kept in">
            <a href={to(['queues', ...partsOf(queue)])}>
              <Name of={queue} />
            </a>
          </Fact>
          <Fact name="Started">
            <When atMs={of.startedAtMs} />
          </Fact>
          {of.endedAtMs !== undefined && (
            <Fact name="Ended">
              <When atMs={of.endedAtMs} />
            </Fact>
          )}
          {of.run > 1 && <Fact name="Run">{count(of.run)}</Fact>}
          {of.because && (
            <Fact name="Because">
              {of.because.job !== undefined && (
                <>
                  <Name of={of.because.job} /> is{' '}
                </>
              )}
              <Name of={of.because.how} />
            </Fact>
          )}
          {of.batch && <Fact name="Batch">{BATCH[of.batch]}</Fact>}
        </dl>
      </section>
      {!of.batch && (
        <section class="card" aria-label="Jobs">
          <div class="card-head">
            <h2>Jobs</h2>
          </div>
          <FlowTree lines={of.lines} />
          {of.linesLeftOut > 0 && (
            <div class="list-foot">
              <span>
                {count(of.linesLeftOut)} more are not shown here. <code>millhand flows</code> shows all.
              </span>
            </div>
          )}
        </section>
      )}
    </>
  )
}

const BATCH = { open: 'open: it takes jobs, and does not end', closed: 'closed: it ends with its last job' }

function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

const WORDS = {
  cancel: {
    label: 'Cancel',
    text: 'Jobs that wait never start. Those that run are told to end, and what has a compensation is compensated.',
    done: 'The flow is cancelled.',
  },
  retry: {
    label: 'Retry',
    text: 'What has not completed, or was compensated, runs again. What has completed stays.',
    done: 'The flow runs again.',
  },
} as const

type Verb = keyof typeof WORDS

function Verbs({ of, queue, path, again }: KnownProps) {
  const [question, ask] = useState<Question | undefined>(undefined)
  const [namespace] = partsOf(queue)
  const act = async (verb: Verb, reason: string) => {
    try {
      const { state } = await send<FlowDone>('POST', `${path}/${verb}`, reason ? { reason } : {})
      say(state === 'cancelling' ? 'Its running jobs were told to end.' : WORDS[verb].done, 'good')
    } catch (error) {
      say(sentence(error), 'bad')
    }
    again()
  }
  const open = (verb: Verb) => {
    if (!of.can.includes(verb) || !may(`flows ${verb}`, namespace)) return
    const { label, text } = WORDS[verb]
    ask({
      title: `${label} this flow?`,
      text: <p>{text}</p>,
      verb: label,
      jobs: verb === 'cancel' ? of.running + of.waiting : of.failed + of.skipped,
      isDangerous: verb === 'cancel',
      asksReason: true,
      run: (reason) => act(verb, reason),
    })
  }
  useKeys([
    { keys: 'R', does: 'retry', run: () => open('retry') },
    { keys: 'C', does: 'cancel', run: () => open('cancel') },
  ])
  return (
    <div class="actions">
      {of.can.map((verb) => {
        const isAllowed = may(`flows ${verb}`, namespace)
        return (
          <button
            key={verb}
            type="button"
            class={`button ${verb === 'retry' ? 'primary' : 'dangerous'}`}
            disabled={!isAllowed}
            title={isAllowed ? undefined : `You may not ${verb} flows in ${namespace}.`}
            onClick={() => open(verb)}
          >
            {WORDS[verb].label}
          </button>
        )
      })}
      {question && <Confirm question={question} close={() => ask(undefined)} />}
    </div>
  )
}
