// What an enqueue answers where another job has the unique key (lua/unique.lua). For enqueue.ts.
import { oneOf, textOf } from './answers.ts'

const WORDS = ['duplicate', 'replaced', 'runs-again'] as const

/** Another job has the unique key. */
export interface KeyTaken {
  readonly enqueued: (typeof WORDS)[number]
  /** The id of that job. */
  readonly id: string
}

/** `<word> <id>`; undefined for other answers. */
export function keyTakenOf(answer: unknown): KeyTaken | undefined {
  if (typeof answer !== 'string' || !answer.includes(' ')) return undefined
  const [word, id] = answer.split(' ')
  return { enqueued: oneOf(word, 'what an enqueue did', WORDS), id: textOf(id, 'the id of a job') }
}
