// Conditions of a resource, as kubectl shows them.
import type { Condition } from '../../src/api.ts'
import { Name, When } from './show.tsx'

/** Those that are bad when they are true. */
const BAD_WHEN_TRUE = /^(Stalled|Suspended|Degraded|Reconciling|Progressing)$/

export function Conditions({ conditions }: { conditions: readonly Condition[] }) {
  if (conditions.length === 0) return <p class="card-body muted">None is reported yet.</p>
  return (
    <div class="table-frame">
      <table class="cards">
        <thead>
          <tr>
            <th scope="col">Condition</th>
            <th scope="col">Reason</th>
            <th scope="col" class="number">
              Changed
            </th>
          </tr>
        </thead>
        <tbody>
          {conditions.map((condition) => (
            <tr key={condition.type}>
              <td>
                <span class={`state s-${toneOf(condition)}`}>{condition.type}</span>
                <span class="cell-sub">{condition.status}</span>
              </td>
              <td class="wide">
                <Name of={condition.reason} />
                <span class="cell-sub">{condition.message}</span>
              </td>
              <td class="number">
                <When atMs={condition.sinceMs} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function toneOf({ type, status }: Condition): string {
  if (status === 'Unknown') return 'cancelled'
  if (BAD_WHEN_TRUE.test(type)) return status === 'True' ? 'retrying' : 'ready'
  return status === 'True' ? 'completed' : 'buried'
}
