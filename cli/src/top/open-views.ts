// The views that are open, one upon the other: where the cursor is in each, and when the last one is read
// again.
import { RedisUnavailable } from 'millhand/queue'
import type { Key } from './keys.ts'
import { linesOf, roomFor } from './page.ts'
import type { Row, View } from './view.ts'

interface OpenView {
  readonly view: View
  selected: number
  selectedKey?: string | undefined
  offset: number
  isLoading: boolean
  /** Something has changed since the look began. */
  isStale: boolean
  failure?: unknown
}

interface Options {
  readonly root: View
  readonly refreshMs: number
  nowMs(): number
  size(): { width: number; height: number }
  onRead(): void
}

export class OpenViews {
  readonly #options: Options
  readonly #first: OpenView
  /** Upon the first one. */
  readonly #others: OpenView[] = []
  #timer: NodeJS.Timeout | undefined
  #awaySinceMs: number | undefined

  constructor(options: Options) {
    this.#options = options
    this.#first = opened(options.root)
  }

  get #top(): OpenView {
    return this.#others.at(-1) ?? this.#first
  }

  get view(): View {
    return this.#top.view
  }

  /** Under the cursor. */
  get row(): Row | undefined {
    return this.view.rows()[this.#top.selected]
  }

  /** Why the view could not be read, though Redis answers. */
  get failure(): unknown {
    return this.#top.failure
  }

  get awaySinceMs(): number | undefined {
    return this.#awaySinceMs
  }

  shown(): { view: View; crumbs: string[]; selected: number; offset: number } {
    this.#keepInside()
    const { view, selected, offset } = this.#top
    return { view, crumbs: [this.#first, ...this.#others].map((open) => open.view.crumb), selected, offset }
  }

  /** Reads the last one at once, and then again and again. */
  look(): void {
    clearTimeout(this.#timer)
    const open = this.#top
    if (open.isLoading) {
      open.isStale = true
      return
    }
    open.isLoading = true
    open.isStale = false
    open.view.load({ from: open.offset, count: this.#room }).then(
      () => this.#looked(open, undefined),
      (error: unknown) => this.#looked(open, error ?? new Error('unknown')),
    )
  }

  open(view: View | undefined): void {
    if (!view) return
    this.#others.push(opened(view))
    this.look()
  }

  /** Of the last one: it is shown from its beginning, and read again. */
  change(change: () => void): void {
    change()
    Object.assign(this.#top, { selected: 0, selectedKey: undefined, offset: 0 })
    this.look()
  }

  /** In the first one its filter goes. */
  back(): void {
    const { view } = this.#top
    if (this.#others.length > 0) {
      this.#others.pop()?.view.close?.()
      this.look()
    } else if (view.filter?.text) this.change(() => view.filter?.set(''))
  }

  /** Whether the key was one that moves. */
  move(key: Key): boolean {
    const page = this.#room
    const steps: Record<Key, number> = {
      ...{ up: -1, k: -1, down: 1, j: 1, pageup: -page, 'ctrl-b': -page, pagedown: page, 'ctrl-f': page },
      ...{ ' ': page, home: -Infinity, g: -Infinity, end: Infinity, G: Infinity },
    }
    const step = steps[key]
    if (step === undefined) return false
    const open = this.#top
    if (open.view.columns.length === 0) open.offset += step
    else {
      const rows = open.view.rows()
      open.selected = Math.max(0, Math.min(open.selected + step, rows.length - 1))
      open.selectedKey = rows[open.selected]?.key
    }
    this.#keepInside()
    return true
  }

  close(): void {
    clearTimeout(this.#timer)
    for (const { view } of [this.#first, ...this.#others]) view.close?.()
  }

  get #room(): number {
    return roomFor(this.#options.size().height)
  }

  #looked(open: OpenView, error: unknown): void {
    open.isLoading = false
    const isAway = error instanceof RedisUnavailable
    if (isAway) this.#awaySinceMs ??= this.#options.nowMs()
    else this.#awaySinceMs = undefined
    open.failure = isAway ? undefined : error
    if (open === this.#top) {
      clearTimeout(this.#timer)
      this.#timer = setTimeout(() => this.look(), open.isStale ? 0 : this.#options.refreshMs)
    }
    this.#options.onRead()
  }

  /** The cursor stays with its row, and on the screen. */
  #keepInside(): void {
    const open = this.#top
    const room = this.#room
    const rows = open.view.rows()
    const isLines = open.view.columns.length === 0
    const count = isLines ? linesOf(open.view, this.#options.size().width).length : rows.length
    const at = rows.findIndex(({ key }) => key === open.selectedKey)
    open.selected = Math.max(0, Math.min(at >= 0 ? at : open.selected, rows.length - 1))
    open.selectedKey = rows[open.selected]?.key
    const least = isLines ? 0 : open.selected - room + 1
    const most = isLines ? count - room : open.selected
    open.offset = Math.max(0, least, Math.min(open.offset, most, count - 1))
  }
}

const opened = (view: View): OpenView => ({ view, selected: 0, offset: 0, isLoading: false, isStale: false })
