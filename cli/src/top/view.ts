// What a view of millhand top is: rows or lines, how to read them, and what its keys do. app.ts shows it.
import type { Cell } from '../table.ts'
import type { Key } from './keys.ts'

export interface Column {
  readonly title: string
  readonly align?: 'right'
}

export interface Row {
  /** The cursor stays with it when rows come and go. */
  readonly key: string
  readonly cells: readonly Cell[]
  /** enter */
  open?(): View
}

/** The rows on the screen. */
export interface Shown {
  readonly from: number
  readonly count: number
}

export interface View {
  /** Its place in the way back. */
  readonly crumb: string
  /** The queue that it is about: w, e and P mean it. */
  readonly queueLabel?: string | undefined
  /** One line below the title. */
  summary(): string
  /** None: a view of lines. */
  readonly columns: readonly Column[]
  rows(): readonly Row[]
  /** Why there are no rows. */
  readonly empty: string
  lines?(): readonly string[]
  /** Reads what it shows. Rejects where Redis does not answer: what was read before stays. */
  load(shown: Shown): Promise<void>
  readonly keys: readonly ViewKey[]
  /** Of its keys, for the last line; those that ask are there anyway. */
  readonly keysHint?: string
  /** `/`; throws an error with a message for a person. */
  readonly filter?: { readonly text: string; set(text: string): void; readonly hint: string }
  close?(): void
}

export interface ViewKey {
  readonly key: Key
  readonly label: string
  /** Only of the view itself: shown, and loaded again. */
  change?(): void
  /** Of rows that are shown: the cursor stays, and nothing is loaded. */
  mark?(row: Row | undefined): void
  open?(row: Row | undefined): View | undefined
  /** Something that changes a queue: asked first. */
  readonly deed?: Deed
}

export interface Question {
  readonly text: string
  /** What is typed for a yes; default: y. */
  readonly typed?: string
}

export interface Deed {
  /** undefined: there is nothing to do it to. Rejects with an error for a person. */
  question(row: Row | undefined): string | undefined | Promise<Question>
  /** Answers what became of it. */
  act(row: Row | undefined): Promise<string>
}
