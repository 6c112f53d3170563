// How everything is: healthy, or the worst problems as sentences; six numbers; the queues that wait longest.
import type { ComponentChildren } from 'preact'
import type { QueueNow, RecentHistory, Snapshot, Sums } from '../../src/api.ts'
import { snapshot } from '../app/live.ts'
import { brief, count, percent, plural, rate } from '../app/numbers.ts'
import { useResource } from '../app/resource.ts'
import { to } from '../app/router.ts'
import { duration } from '../app/time.ts'
import { Blank, Loading, Note } from '../parts/feedback.tsx'
import { NoQueues } from '../parts/of-queue.tsx'
import { PoolTable } from '../parts/pools.tsx'
import { Problems } from '../parts/problems.tsx'
import { QueueTable } from '../parts/queue-table.tsx'
import { Spark } from '../parts/spark.tsx'

const MOST_PROBLEMS = 5
const MOST_QUEUES = 10
const HISTORY_EVERY_MS = 10_000

export function Overview() {
  const seen = snapshot.value
  if (!seen) return <Loading what="the overview" />
  if (seen.queues.length === 0)
    return (
      <>
        <h1>Overview</h1>
        <section class="card">
          <NoQueues />
        </section>
      </>
    )
  const { problems } = seen
  return (
    <>
      <h1>Overview</h1>
      <section class="verdict" aria-label="Verdict">
        {problems.length === 0 ? (
          <Note tone="completed" icon="good">
            <strong>Healthy.</strong> {verdict(seen.sums)}
          </Note>
        ) : (
          <Problems problems={problems.slice(0, MOST_PROBLEMS)} />
        )}
        {problems.length > MOST_PROBLEMS && (
          <p class="muted">and {plural(problems.length - MOST_PROBLEMS, 'more problem')}</p>
        )}
      </section>
      <Six seen={seen} />
      <section class="card" aria-label="Queues">
        <div class="card-head">
          <h2>Queues</h2>
          <span class="muted small">those that wait longest first</span>
          <span class="more">
            <a href={to(['queues'])}>All {count(seen.totalQueues)}</a>
          </span>
        </div>
        <QueueTable queues={[...seen.queues, ...seen.behind].sort(byNeed).slice(0, MOST_QUEUES)} />
      </section>
      <section class="card" aria-label="Workers">
        <div class="card-head">
          <h2>Workers</h2>
          <span class="more">
            <a href={to(['workers'])}>All workers</a>
          </span>
        </div>
        {seen.pools.length > 0 ? (
          <PoolTable pools={seen.pools.slice(0, MOST_QUEUES)} />
        ) : (
          <Blank icon="workers" title="There is no WorkerPool">
            <p>Jobs wait until one serves their queue.</p>
          </Blank>
        )}
      </section>
    </>
  )
}

function verdict({ busy, ready, workers }: Sums): string {
  return `${plural(workers, 'worker')} run ${plural(busy, 'job')}, and ${count(ready)} wait.`
}

function Six({ seen }: { seen: Snapshot }) {
  const { sums } = seen
  const [done, failed] = [perMinute(sums.perSecond?.completed), perMinute(sums.perSecond?.failed)]
  const share = done !== undefined && failed !== undefined ? percent(failed, done + failed) : undefined
  const { value: history } = useResource<RecentHistory>('history', HISTORY_EVERY_MS)
  const spark = (series: string, name: string) => <Spark of={history} series={series} name={name} />
  return (
    <>
      <section class="six" aria-label="Numbers">
        <Figure
          name="Ready"
          value={brief(sums.ready)}
          title={count(sums.ready)}
          more={sums.blocked > 0 && `${brief(sums.blocked)} blocked`}
        >
          {spark('ready', 'Ready jobs')}
        </Figure>
        <Figure
          name="Oldest waits"
          value={sums.oldestReadyMs === undefined ? '–' : duration(sums.oldestReadyMs)}
        >
          {spark('oldestMs', 'The wait of the oldest job')}
        </Figure>
        <Figure name="Running" value={brief(sums.busy)} more={`of ${brief(sums.slots)}`}>
          {spark('busy', 'Running jobs')}
        </Figure>
        <Figure name="Done a minute" value={done === undefined ? '–' : rate(done)}>
          {spark('completed', 'Completed jobs')}
        </Figure>
        <Figure name="Buried a minute" value={failed === undefined ? '–' : rate(failed)} more={share}>
          {spark('failed', 'Failed attempts')}
        </Figure>
        <Figure name="Buried" value={brief(sums.buried)} title={count(sums.buried)}>
          {spark('buried', 'Buried jobs')}
        </Figure>
      </section>
      <Covered seen={seen} charted={history?.queues} />
    </>
  )
}

/** Where there are more queues than are looked at each second. */
function Covered({ seen, charted }: { seen: Snapshot; charted: number | undefined }) {
  const { sums, totalQueues, queues, atMs } = seen
  if (totalQueues <= queues.length) return null
  const parts = [
    `The numbers are those of ${count(sums.queues)} of ${count(totalQueues)} queues`,
    sums.atMs !== undefined && `the oldest of ${duration(atMs - sums.atMs)} ago`,
    charted !== undefined && charted < totalQueues && `the charts are of ${count(charted)}`,
  ]
  return <p class="muted">{parts.filter(Boolean).join('; ')}.</p>
}

const perMinute = (perSecond: number | undefined) => (perSecond === undefined ? undefined : 60 * perSecond)

function Figure({
  name,
  value,
  title,
  more,
  children,
}: {
  name: string
  value: string
  title?: string
  more?: ComponentChildren
  children: ComponentChildren
}) {
  return (
    <div class="card">
      <span class="muted small">{name}</span>
      <span class="value" title={title}>
        {value} <small>{more}</small>
      </span>
      {children}
    </div>
  )
}

/** Those that cannot be read, then those whose oldest job waits longest, then those with most to do. */
function byNeed(a: QueueNow, b: QueueNow): number {
  const needOf = ({ unread, numbers }: QueueNow) =>
    unread ? Number.POSITIVE_INFINITY : (numbers?.oldestReadyMs ?? -1)
  const [left, right] = [needOf(a), needOf(b)]
  if (left !== right) return right > left ? 1 : -1
  return (b.numbers?.busy ?? 0) + (b.numbers?.buried ?? 0) - (a.numbers?.busy ?? 0) - (a.numbers?.buried ?? 0)
}
