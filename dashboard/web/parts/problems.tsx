// What a person should look at, as sentences that say what to do; the worst first.
import type { Problem } from '../../src/api.ts'
import { to } from '../app/router.ts'
import { Icon } from './icons.tsx'
import { Name } from './show.tsx'

export function Problems({ problems }: { problems: readonly Problem[] }) {
  return (
    <ul class="problems">
      {problems.map((problem) => (
        <li
          key={`${problem.kind} ${problem.namespace}/${problem.name} ${problem.code}`}
          class={`note s-${problem.severity === 'error' ? 'buried' : 'retrying'}`}
        >
          <Icon name={problem.severity === 'error' ? 'buried' : 'errors'} />
          <div>
            <a class="strong" href={hrefOf(problem)}>
              <Name of={problem.name} />
            </a>{' '}
            <span class="muted">{KINDS[problem.kind]}</span> <span>{problem.text}</span>
          </div>
        </li>
      ))}
    </ul>
  )
}

const KINDS = { TaskQueue: 'queue', WorkerPool: 'pool', Schedule: 'schedule' } as const

function hrefOf({ kind, namespace, name, queue }: Problem): string {
  if (kind === 'TaskQueue') return to(['queues', namespace, name])
  if (kind === 'Schedule') return to(['schedules'], { queue: `${namespace}/${queue}` })
  return to(['workers'], { pool: `${namespace}/${name}` })
}
