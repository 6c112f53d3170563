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
            <span class="muted">{problem.kind === 'TaskQueue' ? 'queue' : 'pool'}</span>{' '}
            <span>{problem.text}</span>
          </div>
        </li>
      ))}
    </ul>
  )
}

const hrefOf = ({ kind, namespace, name }: Problem): string =>
  kind === 'TaskQueue' ? to(['queues', namespace, name]) : to(['workers'], { pool: `${namespace}/${name}` })
