// What is typed behind `:`, and how it is completed.
import { isJobId } from 'millhand/queue'
import { errorsView } from './errors.ts'
import { flowsView } from './flows.ts'
import { jobView } from './job.ts'
import { jobsView } from './jobs.ts'
import { overview } from './overview.ts'
import type { Reach } from './reach.ts'
import { schedulesView } from './schedules.ts'
import type { View } from './view.ts'
import { workersView } from './workers.ts'

interface Place {
  readonly name: string
  readonly alias: string
  /** What stands behind the name. */
  readonly behind: string
  /** `words` behind the name; without a queue the one of the view. Throws an error for a person. */
  open(reach: Reach, words: readonly string[], queue: string | undefined): View
}

export const PLACES: readonly Place[] = [
  { name: 'queues', alias: 'o', behind: '', open: (reach) => overview(reach) },
  {
    name: 'jobs',
    alias: 'j',
    behind: '[QUEUE] [FILTER]',
    open(reach, [name, ...filter], queue) {
      const view = jobsView(reach, reach.queue(needed(name ?? queue, 'jobs')))
      view.filter?.set(filter.join(' '))
      return view
    },
  },
  {
    name: 'job',
    alias: 'i',
    behind: '[QUEUE] ID',
    open(reach, words, queue) {
      const [name, id = ''] = words.length > 1 ? words : [queue, words[0]]
      if (!isJobId(id)) throw new Error(`invalid job id "${id}": use 1 to 128 of A-Z a-z 0-9 . : _ -`)
      return jobView(reach, reach.queue(needed(name, 'job')), id)
    },
  },
  {
    name: 'workers',
    alias: 'w',
    behind: '[QUEUE]',
    open: (reach, [name]) => workersView(reach, name === undefined ? undefined : reach.queue(name)),
  },
  {
    name: 'errors',
    alias: 'e',
    behind: '[QUEUE]',
    open: (reach, [name], queue) => errorsView(reach, reach.queue(needed(name ?? queue, 'errors'))),
  },
  {
    name: 'schedules',
    alias: 's',
    behind: '[QUEUE]',
    open: (reach, [name], queue) => schedulesView(reach, reach.queue(needed(name ?? queue, 'schedules'))),
  },
  {
    name: 'flows',
    alias: 'f',
    behind: '[QUEUE]',
    open: (reach, [name], queue) => flowsView(reach, reach.queue(needed(name ?? queue, 'flows'))),
  },
]
const QUIT = ['quit', 'q']

export function goTo(text: string, reach: Reach, queue: string | undefined): View | 'quit' {
  const [word = '', ...words] = text.trim().split(/\s+/)
  if (QUIT.includes(word)) return 'quit'
  const place = PLACES.find(({ name, alias }) => name === word || alias === word)
  if (place) return place.open(reach, words, queue)
  // The word stays in the line: with it, the sentence would not fit into 80 columns.
  throw new Error(`no such view: use ${[...PLACES, { name: QUIT[0] }].map(({ name }) => name).join(', ')}`)
}

/** What the text may become, the best first. */
export function completions(text: string, queues: readonly string[]): string[] {
  const [word = '', name, ...more] = text.split(/\s+/)
  if (name === undefined) {
    const names = [...PLACES.map((place) => place.name), 'quit']
    return names.filter((each) => each.startsWith(word) && each !== word)
  }
  const place = PLACES.find((each) => each.name === word || each.alias === word)
  if (!place?.behind.includes('QUEUE') || more.length > 0) return []
  return queues.filter((each) => each.startsWith(name) && each !== name).map((each) => `${word} ${each}`)
}

function needed(queue: string | undefined, place: string): string {
  if (queue !== undefined) return queue
  throw new Error(
    `name a queue: ${place} ${PLACES.find(({ name }) => name === place)?.behind.replace(/[[\]]/g, '')}`,
  )
}
