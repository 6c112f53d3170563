// WorkerPools: how many workers there are and are wanted, and why.
import type { PoolNow } from '../../src/api.ts'
import { count } from '../app/numbers.ts'
import { Bar } from './bar.tsx'
import { Name, When } from './show.tsx'

export function PoolTable({ pools }: { pools: readonly PoolNow[] }) {
  return (
    <div class="table-frame">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Pool</th>
            <th scope="col">Workers</th>
            <th scope="col">Busy slots</th>
            <th scope="col">Why so many</th>
            <th scope="col" class="number">
              Last scaled
            </th>
          </tr>
        </thead>
        <tbody>
          {pools.map((pool) => (
            <Row key={`${pool.namespace}/${pool.name}`} pool={pool} />
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Row({ pool }: { pool: PoolNow }) {
  const { status, scaling } = pool
  const bad = pool.conditions.filter(({ type, status }) => type === 'Ready' && status !== 'True')
  return (
    <tr>
      <td class="wide">
        <span class="strong">
          <Name of={pool.name} />
        </span>
        <span class="cell-sub">
          {pool.isolation}, {count(pool.slots)} {pool.slots === 1 ? 'slot' : 'slots'} each
        </span>
      </td>
      <td class="nowrap" data-label="workers">
        {status ? `${count(status.readyReplicas)} of ${count(status.desiredReplicas)}` : '–'}
        <span class="cell-sub">
          {scaling.mode === 'Manual'
            ? 'by hand'
            : `${count(scaling.minReplicas)} to ${count(scaling.maxReplicas)}`}
        </span>
      </td>
      <td data-label="busy slots">
        {status ? (
          <>
            {count(status.busySlots)} of {count(status.slots)}
            <Bar
              parts={[
                { tone: 'held', n: status.busySlots },
                { tone: 'none', n: Math.max(0, status.slots - status.busySlots) },
              ]}
              label={`${status.busySlots} of ${status.slots} slots are busy`}
            />
          </>
        ) : (
          '–'
        )}
      </td>
      <td class="wide">
        {status?.message || status?.reason || <span class="muted">not reported yet</span>}
        {bad.map(({ message, reason }) => (
          <span key={reason} class="cell-sub danger">
            {reason}: {message}
          </span>
        ))}
      </td>
      <td class="number" data-label="last scaled">
        <When atMs={status?.lastScaledAtMs} />
      </td>
    </tr>
  )
}
