// Which columns a list of jobs has: chosen by a person, kept in this browser only. State and task are always there.
import { signal } from '@preact/signals'
import { keep, kept } from './kept.ts'

export const COLUMNS = {
  queue: 'Queue',
  marks: 'Key and tags',
  known: 'What is known',
  tries: 'Tries',
  enqueued: 'Enqueued',
  changed: 'Last change',
} as const
export type Column = keyof typeof COLUMNS

const ALL = Object.keys(COLUMNS) as Column[]

export const hidden = signal<ReadonlySet<string>>(new Set(kept('hidden-columns')?.split(',')))

export const shownColumns = (): Column[] => ALL.filter((column) => !hidden.value.has(column))

export function toggleColumn(column: Column): void {
  const next = new Set(hidden.value)
  if (!next.delete(column)) next.add(column)
  hidden.value = next
  keep('hidden-columns', [...next].join(','))
}
