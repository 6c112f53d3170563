// A view of what Redis lists a window at a time and this process filters: flows, schedules, groups of errors.
import { counted } from '../units.ts'
import type { Column, Row, View, ViewKey } from './view.ts'
import { Windows } from './windows.ts'

const WINDOW = 100

export interface Listed<T> {
  readonly items: readonly T[]
  readonly total: number
  /** Of the next window. */
  readonly cursor?: string | undefined
}

export interface ListViewOptions<T> {
  crumb: string
  queueLabel: string
  columns: readonly Column[]
  /** What an item is called: flow. */
  noun: string
  /** Which come first. */
  order: string
  /** What it says where there are none. */
  none: string
  filterHint: string
  /** What the filter looks into. */
  textsOf: (item: T) => readonly string[]
  rowOf: (item: T) => Row
  /** `find`: an item of the window by the key of its row. */
  keys: (find: (key: string) => T | undefined) => readonly ViewKey[]
  read: (page: { limit: number; cursor?: string }) => Promise<Listed<T>>
}

export function listView<T>(options: ListViewOptions<T>): View {
  const { crumb, queueLabel, columns, noun, order, none, filterHint, textsOf, rowOf, keys, read } = options
  const windows = new Windows()
  let page: Listed<T> | undefined
  let filter = ''
  const find = (key: string) => page?.items.find((item) => rowOf(item).key === key)
  return {
    crumb,
    queueLabel,
    columns,
    get empty() {
      if (!page) return 'reading'
      return filter === '' ? none : `no ${noun} of this window matches ${filter}`
    },
    summary: () => (page ? `${counted(page.total, noun)}, ${order}${windows.text(page.cursor)}` : 'reading'),
    rows: () =>
      (page?.items ?? []).filter((item) => textsOf(item).some((text) => text.includes(filter))).map(rowOf),
    async load() {
      const { cursor } = windows
      const found = await read({ limit: WINDOW, ...(cursor !== undefined && { cursor }) })
      // Another window was asked for meanwhile.
      if (cursor === windows.cursor) page = found
    },
    filter: {
      get text() {
        return filter
      },
      set(text) {
        filter = text
      },
      hint: filterHint,
    },
    keys: [...windows.keys(() => page?.cursor), ...keys(find)],
  }
}
