// A flow: how far it has come, its jobs as a graph, as a tree or by their state, and what can be done with it.
import { useState } from 'preact/hooks'
import type { FlowDetails, FlowDone } from '../../src/api.ts'
import { address, send, sentence } from '../app/api.ts'
import { useKeys } from '../app/keys.ts'
import { may } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { here, query, to } from '../app/router.ts'
import { isWide } from '../app/screen.ts'
import { say } from '../app/toasts.ts'
import { Confirm, type Question } from '../parts/dialog.tsx'
import { Shown } from '../parts/feedback.tsx'
import { FlowProgress, FlowState } from '../parts/flow-facts.tsx'
import { canBeDrawn, FlowGraph } from '../parts/flow-graph.tsx'
import { FlowTree } from '../parts/flow-tree.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { BackToList } from '../parts/of-queue.tsx'
import { Copy, Fact, Name, When } from '../parts/show.tsx'

const LOOK_EVERY_MS = 3_000

export function FlowPage({ namespace, queue, id }: { namespace: string; queue: string; id: string }) {
  const key = `${namespace}/${queue}`
  const path = address(['queues', namespace, queue, 'flows', id])
  const details = useResource<FlowDetails>(path, LOOK_EVERY_MS)
  return (
    <>
      <BackToList page="flows" title="Flows" queue={key} />
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
  const [question, ask] = useState<Question | undefined>(undefined)
  const [namespace] = partsOf(queue)
  const act = async (verb: Verb, body: object) => {
    try {
      const { state } = await send<FlowDone>('POST', `${path}/${verb}`, body)
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
      jobs: verb === 'cancel' ? of.enqueued + of.waiting : of.failed + of.skipped,
      isDangerous: verb === 'cancel',
      asksReason: true,
      run: (reason) => act(verb, { ...(reason && { reason }) }),
    })
  }
  const retryFrom = (from: string) =>
    ask({
      title: `Retry from ${from}?`,
      text: <p>This job and all behind it run again, also those that have completed.</p>,
      verb: 'Retry',
      jobs: jobsFrom(of, from),
      asksReason: true,
      run: (reason) => act('retry', { from, ...(reason && { reason }) }),
    })
  const isOver = of.endedAtMs !== undefined && !of.batch
  return (
    <>
      <div class="page-head">
        <h1>
          <Name of={of.id} />
        </h1>
        <Copy text={of.id} what="the id" />
        <FlowState of={of} />
        <Verbs of={of} namespace={namespace} open={open} />
      </div>
      <section class="card" aria-label="What is known">
        <div class="card-body">
          <FlowProgress of={of} />
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
        <Jobs
          of={of}
          path={path}
          retryFrom={isOver && may('flows retry', namespace) ? retryFrom : undefined}
        />
      )}
      {question && <Confirm question={question} close={() => ask(undefined)} />}
    </>
  )
}

const BATCH = { open: 'open: it takes jobs, and does not end', closed: 'closed: it ends with its last job' }

/** How many jobs these are; all where the answer has only a part of the lines. */
function jobsFrom({ lines, jobs }: FlowDetails, name: string): number {
  const found = new Set<number>()
  for (const [n, line] of lines.entries()) {
    if (line.behind === undefined) return jobs
    if (line.name === name || line.behind.some((each) => found.has(each))) found.add(n)
  }
  return [...found].reduce((sum, n) => sum + (lines[n]?.jobs ?? 0), 0)
}

interface JobsProps {
  of: FlowDetails
  path: string
  retryFrom: ((job: string) => void) | undefined
}

/** As a graph or a tree, or those in one state: the address says which. */
function Jobs({ of, path, retryFrom }: JobsProps) {
  const state = query.value.get('state') ?? undefined
  const cursor = query.value.get('at') ?? undefined
  const isPart = state !== undefined || cursor !== undefined
  const part = useResource<FlowDetails>(
    isPart ? `${path}${asQuery({ state, cursor })}` : undefined,
    LOOK_EVERY_MS,
  )
  const isDrawable = canBeDrawn(of.lines)
  const view = state ?? (isDrawable ? (query.value.get('view') ?? (isWide.value ? 'graph' : 'tree')) : 'tree')
  const tabs = [
    { name: 'graph', label: 'Graph', to: { view: 'graph' } },
    { name: 'tree', label: 'Tree', to: { view: 'tree' } },
    ...of.states.map((each) => ({
      name: each.state,
      label: `${count(each.jobs)} ${each.state}`,
      to: { state: each.state },
    })),
  ].filter(({ name }) => name !== 'graph' || isDrawable)
  const nothing = { view: undefined, state: undefined, at: undefined }
  return (
    <section class="card" aria-label="Jobs">
      <nav class="page-tabs" aria-label="How the jobs are shown">
        {tabs.map(({ name, label, to }) => (
          <a key={name} href={here({ ...nothing, ...to })} aria-current={name === view ? 'true' : undefined}>
            {label}
          </a>
        ))}
      </nav>
      {!isPart && view === 'graph' && (
        <FlowGraph lines={of.lines} marked={query.value.get('job') ?? undefined} />
      )}
      {!isPart && view !== 'graph' && <Lines of={of} cursor={undefined} retryFrom={retryFrom} />}
      {isPart && (
        <Shown of={part} what="these jobs">
          {(value) => <Lines of={value} cursor={cursor} retryFrom={retryFrom} />}
        </Shown>
      )}
    </section>
  )
}

const asQuery = (values: Record<string, string | undefined>) => address([], values)

interface LinesProps extends Omit<JobsProps, 'path'> {
  cursor: string | undefined
}

function Lines({ of, cursor, retryFrom }: LinesProps) {
  return (
    <>
      <FlowTree lines={of.lines} retryFrom={retryFrom} />
      {(cursor !== undefined || of.cursor !== undefined) && (
        <PagesFoot
          total={`${plural(of.lines.length, 'line')}, ${count(of.linesLeftOut)} behind them`}
          cursor={cursor}
          next={of.cursor}
          first="First"
          further="Further"
        />
      )}
    </>
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

function Verbs({ of, namespace, open }: { of: FlowDetails; namespace: string; open: (verb: Verb) => void }) {
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
    </div>
  )
}
