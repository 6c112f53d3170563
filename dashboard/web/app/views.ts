// Filters to which a person has given a name, kept in this browser only.
import { signal } from '@preact/signals'
import { keep, kept } from './kept.ts'

export interface View {
  name: string
  /** `namespace/name`; '' for all queues. */
  queue: string
  filter: string
}

const MOST_VIEWS = 50

export const views = signal<readonly View[]>(viewsIn(kept('views') ?? '[]'))

/** In the place of the one with this name, where there is one. */
export function saveView(view: View): void {
  set([...views.value.filter(({ name }) => name !== view.name), view].slice(-MOST_VIEWS))
}

export function deleteView(name: string): void {
  set(views.value.filter((view) => view.name !== name))
}

function set(next: readonly View[]): void {
  views.value = next.toSorted((a, b) => a.name.localeCompare(b.name))
  keep('views', JSON.stringify(views.value))
}

/** What another version or a person has left there may be anything. */
export function viewsIn(text: string): View[] {
  try {
    const found: unknown = JSON.parse(text)
    return Array.isArray(found) ? found.filter(isView).slice(0, MOST_VIEWS) : []
  } catch {
    return []
  }
}

function isView(value: unknown): value is View {
  const { name, queue, filter } = (value ?? {}) as Partial<View>
  return [name, queue, filter].every((each) => typeof each === 'string')
}
