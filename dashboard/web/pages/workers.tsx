// Workers: the pools first, then the worker processes of a queue, with their slots.
import type { PoolNow, Pools, Worker, Workers } from '../../src/api.ts'
import { address } from '../app/api.ts'
import { snapshot } from '../app/live.ts'
import { count, plural } from '../app/numbers.ts'
import { jobsOf, keyOf, partsOf } from '../app/queues.ts'
import { useResource } from '../app/resource.ts'
import { here, query } from '../app/router.ts'
import { Blank, Loading, Shown } from '../parts/feedback.tsx'
import { QueueChoice } from '../parts/jobs-rail.tsx'
import { PagesFoot } from '../parts/list-ends.tsx'
import { PoolTable } from '../parts/pools.tsx'
import { Name, When } from '../parts/show.tsx'

const LOOK_EVERY_MS = 3_000
const MOST_SLOTS = 64
const MOST_POOLS = '50'

export function WorkersPage() {
  const seen = snapshot.value
  if (!seen) return <Loading what="workers" />
  const pool = query.value.get('pool')
  const served = seen.queues.filter(({ numbers }) => (numbers?.workers ?? 0) > 0)
  const first = served[0] ?? seen.queues[0]
  const key = query.value.get('queue') ?? (first && keyOf(first))
  return (
    <>
      <div class="page-head">
        <h1>Workers</h1>
        {pool && <a href={here({ pool: undefined })}>Show all pools</a>}
      </div>
      <section class="card" aria-label="Pools">
        <div class="card-head">
          <h2>Pools</h2>
        </div>
        {seen.totalPools > seen.pools.length ? (
          <PoolPages only={pool} />
        ) : (
          <PoolsOf pools={seen.pools} only={pool} />
        )}
      </section>
      {key !== undefined && <Processes queue={key} />}
    </>
  )
}

function PoolsOf({ pools, only }: { pools: readonly PoolNow[]; only: string | null }) {
  const shown = pools.filter((each) => !only || keyOf(each) === only)
  if (shown.length > 0) return <PoolTable pools={shown} />
  return (
    <Blank icon="workers" title="There is no WorkerPool">
      <p>Workers come from a WorkerPool. Jobs wait until one serves their queue.</p>
    </Blank>
  )
}

/** More than a snapshot has. */
function PoolPages({ only }: { only: string | null }) {
  const cursor = query.value.get('poolsAt') ?? undefined
  const path = address(['pools'], { part: only ?? undefined, cursor, limit: MOST_POOLS })
  return (
    <Shown of={useResource<Pools>(path, LOOK_EVERY_MS)} what="pools">
      {({ pools, total, cursor: next }) => (
        <>
          <PoolsOf pools={pools} only={only} />
          {!only && (
            <PagesFoot
              total={plural(total, 'pool')}
              cursor={cursor}
              next={next}
              first="First"
              further="Next"
              by="poolsAt"
            />
          )}
        </>
      )}
    </Shown>
  )
}

function Processes({ queue }: { queue: string }) {
  const cursor = query.value.get('at') ?? undefined
  const workers = useResource<Workers>(
    address(['queues', ...partsOf(queue), 'workers'], { cursor }),
    LOOK_EVERY_MS,
  )
  return (
    <section class="card" aria-label="Worker processes">
      <div class="card-head">
        <h2>Workers of</h2>
        <QueueChoice chosen={queue} />
        <span class="muted">{workers.value && plural(workers.value.total, 'worker')}</span>
      </div>
      <Shown of={workers} what="workers">
        {({ workers: found, cursor: next }) => (
          <>
            {found.length > 0 ? <Table workers={found} queue={queue} /> : <NoWorkers />}
            {(next || cursor) && (
              <PagesFoot total="" cursor={cursor} next={next} first="First" further="Next" />
            )}
          </>
        )}
      </Shown>
    </section>
  )
}

function NoWorkers() {
  return (
    <Blank icon="workers" title="No worker serves this queue now">
      <p>A pool with minReplicas 0 starts one when a job is enqueued.</p>
    </Blank>
  )
}

function Table({ workers, queue }: { workers: readonly Worker[]; queue: string }) {
  const [namespace, name] = partsOf(queue)
  return (
    <div class="table-frame">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Worker</th>
            <th scope="col">State</th>
            <th scope="col">Slots</th>
            <th scope="col">Isolation</th>
            <th scope="col">Version</th>
            <th scope="col" class="number">
              Started
            </th>
          </tr>
        </thead>
        <tbody>
          {workers.map((worker) => (
            <tr key={worker.name}>
              <td class="wide">
                <a href={jobsOf({ namespace, name }, `worker:${worker.name}`)} class="strong">
                  <Name of={worker.pod || worker.name} />
                </a>
                <span class="cell-sub">
                  {worker.node && (
                    <>
                      node <Name of={worker.node} /> ·{' '}
                    </>
                  )}
                  {worker.pool && (
                    <>
                      pool <Name of={worker.pool} /> ·{' '}
                    </>
                  )}
                  <Name of={worker.name} />
                </span>
              </td>
              <td>
                <WorkerState worker={worker} />
              </td>
              <td data-label="slots">
                <Slots worker={worker} />
              </td>
              <td data-label="isolation">
                {worker.isolation}
                {worker.isolationNote && <span class="cell-sub">{worker.isolationNote}</span>}
              </td>
              <td data-label="version">
                <Name of={worker.version} />
              </td>
              <td class="number" data-label="started">
                <When atMs={worker.startedAtMs} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function WorkerState({ worker }: { worker: Worker }) {
  if (!worker.isAlive)
    return (
      <span class="state s-buried" title="Its heartbeat has run out: its jobs are put back.">
        silent
      </span>
    )
  if (worker.isDraining)
    return (
      <span class="state s-retrying" title="It takes no more jobs.">
        draining
      </span>
    )
  return worker.busy > 0 ? <span class="state s-held">working</span> : <span class="state s-ready">idle</span>
}

function Slots({ worker: { slots, busy } }: { worker: Worker }) {
  return (
    <>
      <span class="nowrap">
        {count(busy)} of {count(slots)}{' '}
      </span>
      {slots <= MOST_SLOTS && (
        <span class="slots" aria-hidden="true">
          {Array.from({ length: slots }, (_, n) => (
            <i key={n} data-busy={n < busy || undefined} />
          ))}
        </span>
      )}
    </>
  )
}
