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
          <Sentence of={problem} />
        </li>
      ))}
    </ul>
  )
}

/** What it is about is a link, where the sentence names it. */
function Sentence({ of: problem }: { of: Problem }) {
  const { text, name } = problem
  const link = (
    <a class="strong" href={hrefOf(problem)}>
      <Name of={name} />
    </a>
  )
  const [word] = WORDS.filter((each) => text.includes(each + name))
  if (word === undefined)
    return (
      <div>
        {link}: {text}
      </div>
    )
  const at = text.indexOf(word + name) + word.length
  return (
    <div>
      {text.slice(0, at)}
      {link}
      {text.slice(at + name.length)}
    </div>
  )
}

const WORDS = ['Queue ', 'queue ', 'WorkerPool ', 'Schedule ']

function hrefOf({ kind, namespace, name, queue }: Problem): string {
  if (kind === 'TaskQueue') return to(['queues', namespace, name])
  if (kind === 'Schedule') return to(['schedules'], { queue: `${namespace}/${queue}` })
  return to(['workers'], { pool: `${namespace}/${name}` })
}
