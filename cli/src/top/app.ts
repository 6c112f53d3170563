// millhand top while it runs: the views that are open, what the keys do, when it reads, what it draws. Keys
// never wait for Redis: a view draws what it read last.
import { reasonLines } from 'millhand/queue'
import { withoutPasswords } from '../printable.ts'
import type { Cell } from '../table.ts'
import { durationText, timeText } from '../units.ts'
import { failureOf, pauseDeed } from './deeds.ts'
import { errorsView } from './errors.ts'
import { flowsView } from './flows.ts'
import { completions, goTo } from './go-to.ts'
import { helpView } from './help.ts'
import type { Key } from './keys.ts'
import { OpenViews } from './open-views.ts'
import { draw } from './page.ts'
import type { Reach } from './reach.ts'
import { schedulesView } from './schedules.ts'
import { difference, type Frame, type Look } from './screen.ts'
import type { OpenTerminal, Terminal } from './terminal.ts'
import type { Deed, Question, Row, View } from './view.ts'
import { workersView } from './workers.ts'

export interface TopOptions {
  readonly reach: Reach
  readonly root: View
  readonly look: Look
  readonly refreshMs: number
  readonly isReadOnly: boolean
  /** At the right of the first line. */
  readonly where: string
}

type Mode =
  | { readonly kind: 'looking' }
  | { readonly kind: 'typing'; readonly sign: '/' | ':'; readonly text: string }
  | Asking

interface Asking {
  readonly kind: 'asking'
  readonly question: Question
  /** Of the answer, where more than a y is typed. */
  readonly text: string
  readonly deed: Deed
  readonly row: Row | undefined
}

const LOOKING: Mode = { kind: 'looking' }
const DRAW_EVERY_MS = 1_000
const NOTE_MS = 8_000
const MOST_HINTS = 8
const MOST_DIGITS = 20

export class Top {
  readonly #options: TopOptions
  readonly #views: OpenViews
  #mode: Mode = LOOKING
  #note: { cell: Cell; untilMs: number } | undefined
  #terminal: Terminal | undefined
  #drawn: Frame | undefined
  readonly #ended = Promise.withResolvers<void>()

  constructor(options: TopOptions) {
    this.#options = options
    this.#views = new OpenViews({
      ...options,
      nowMs: options.reach.nowMs,
      size: () => this.#size,
      onRead: () => this.#draw(),
    })
  }

  /** Until it is quit. */
  async run(openTerminal: OpenTerminal): Promise<void> {
    this.#terminal = await openTerminal({
      keys: (keys) => this.#press(keys),
      redraw: () => {
        this.#drawn = undefined
        this.#draw()
      },
      drained: () => this.#draw(),
    })
    const clock = setInterval(() => this.#draw(), DRAW_EVERY_MS)
    try {
      this.#views.look()
      this.#draw()
      await this.#ended.promise
    } finally {
      clearInterval(clock)
      this.#views.close()
      this.#terminal.close()
    }
  }

  quit(): void {
    this.#ended.resolve()
  }

  get #size(): { width: number; height: number } {
    return this.#terminal?.size() ?? { width: 80, height: 24 }
  }

  #isAsking(): boolean {
    return this.#mode.kind === 'asking'
  }

  #press(keys: readonly Key[]): void {
    for (const key of keys) {
      const wasAsking = this.#isAsking()
      if (key === 'ctrl-c') this.quit()
      else if (this.#mode.kind === 'typing') this.#type(key, this.#mode)
      else if (this.#mode.kind === 'asking') this.#answer(key, this.#mode)
      else this.#command(key)
      // What came together with the key was pasted, or typed before the question stood there: it is no
      // answer.
      if (!wasAsking && this.#isAsking()) break
    }
    this.#draw()
  }

  #command(key: Key): void {
    this.#note = undefined
    const { view, row } = this.#views
    const own = view.keys.find((each) => each.key === key)
    if (own?.deed) this.#ask(own.deed, row)
    else if (own?.open) this.#views.open(own.open(row))
    else if (own?.change) this.#views.change(own.change)
    else if (own?.mark) own.mark(row)
    else if (!this.#views.move(key)) this.#everywhere(key, row)
  }

  #everywhere(key: Key, row: Row | undefined): void {
    const { reach } = this.#options
    const { view } = this.#views
    const label = view.queueLabel ?? (view.columns[0]?.title === 'QUEUE' ? String(row?.cells[0] ?? '') : '')
    const queue = label === '' ? undefined : reach.queue(label)
    if (key === 'enter') this.#views.open(row?.open?.())
    else if (key === 'esc') this.#views.back()
    else if (key === '/' && view.filter) this.#mode = { kind: 'typing', sign: '/', text: view.filter.text }
    else if (key === ':') this.#mode = { kind: 'typing', sign: ':', text: '' }
    else if (key === '?' && view.crumb !== 'keys') this.#views.open(helpView(view))
    else if (key === 'w') this.#views.open(workersView(reach, queue))
    else if (key === 'e' && queue) this.#views.open(errorsView(reach, queue))
    else if (key === 's' && queue) this.#views.open(schedulesView(reach, queue))
    else if (key === 'f' && queue) this.#views.open(flowsView(reach, queue))
    else if (key === 'P' && queue) this.#ask(pauseDeed(queue, label), row)
    else if (key === 'r') this.#views.change(reach.lookAgain)
    else if (key === 'ctrl-z') this.#terminal?.suspend()
    else if (key === 'q') view.crumb === 'keys' ? this.#views.back() : this.quit()
  }

  #type(key: Key, { sign, text }: Mode & { kind: 'typing' }): void {
    const set = (typed: string) => {
      this.#mode = { kind: 'typing', sign, text: typed }
    }
    this.#note = undefined
    if (key === 'esc') this.#mode = LOOKING
    else if (key === 'backspace') {
      if (text === '') this.#mode = LOOKING
      else set([...text].slice(0, -1).join(''))
    } else if (key === 'ctrl-u') set('')
    else if (key === 'tab' && sign === ':') set(this.#completed(text)[0] ?? text)
    else if (key === 'enter') this.#typed(sign, text)
    else if ([...key].length === 1) set((text + key).slice(0, 1_000))
  }

  #completed(text: string): string[] {
    const { reach } = this.#options
    return completions(text, reach.known().map(reach.label))
  }

  #typed(sign: '/' | ':', text: string): void {
    this.#mode = LOOKING
    try {
      if (sign === '/') {
        this.#views.change(() => this.#views.view.filter?.set(text.trim()))
        return
      }
      if (text.trim() === '') return
      const found = goTo(text, this.#options.reach, this.#views.view.queueLabel)
      if (found === 'quit') this.quit()
      else this.#views.open(found)
    } catch (error) {
      this.#mode = { kind: 'typing', sign, text }
      this.#say({ text: reason(error), style: 'red' })
    }
  }

  #ask(deed: Deed, row: Row | undefined): void {
    if (this.#options.isReadOnly) {
      this.#say({ text: 'nothing is changed: --read-only', style: 'yellow' })
      return
    }
    const question = deed.question(row)
    if (typeof question === 'string') this.#put({ text: question }, deed, row)
    else if (question) void this.#askLater(question, deed, row)
  }

  #put(question: Question, deed: Deed, row: Row | undefined): void {
    this.#mode = { kind: 'asking', question, text: '', deed, row }
  }

  /** A question that is about what Redis has is put if nothing else was begun meanwhile. */
  async #askLater(question: Promise<Question>, deed: Deed, row: Row | undefined): Promise<void> {
    const { view } = this.#views
    this.#say('counting …')
    try {
      const found = await question
      if (this.#mode === LOOKING && this.#views.view === view) this.#put(found, deed, row)
    } catch (error) {
      this.#say({ text: reason(error), style: 'yellow' })
    }
    this.#draw()
  }

  #answer(key: Key, asking: Asking): void {
    const { question, text, deed, row } = asking
    const { typed } = question
    if (typed !== undefined && (key === 'backspace' || /^\d$/.test(key))) {
      this.#mode = {
        ...asking,
        text: key === 'backspace' ? text.slice(0, -1) : (text + key).slice(0, MOST_DIGITS),
      }
      return
    }
    this.#mode = LOOKING
    if (typed === undefined ? key !== 'y' : key !== 'enter' || text !== typed) {
      this.#say('nothing was done')
      return
    }
    this.#say('…')
    deed.act(row).then(
      (became) => this.#did(became),
      (error: unknown) => this.#did({ text: withoutPasswords(failureOf(error)), style: 'red' }),
    )
  }

  #did(became: Cell): void {
    this.#say(became)
    this.#views.look()
    this.#draw()
  }

  #say(cell: Cell): void {
    this.#note = { cell, untilMs: this.#options.reach.nowMs() + NOTE_MS }
  }

  #draw(): void {
    const terminal = this.#terminal
    if (!terminal) return
    const { look, reach, where } = this.#options
    const page = {
      ...this.#views.shown(),
      corner: `${where}  ${timeText(reach.nowMs()).slice(-8)}`,
      summary: this.#summary(),
      footer: this.#footer(),
      typing: this.#hint(),
    }
    const frame = draw(page, this.#size, look)
    const written = difference(this.#drawn, frame, look)
    if (written === '' || terminal.draw(written)) this.#drawn = frame
  }

  /** Behind the cursor, while something is typed. */
  #hint(): string | undefined {
    const mode = this.#mode
    if (mode.kind !== 'typing') return undefined
    if (mode.sign === ':') return this.#completed(mode.text).slice(0, MOST_HINTS).join('   ')
    return mode.text === '' ? this.#views.view.filter?.hint : ''
  }

  #summary(): Cell {
    const { view, failure, awaySinceMs } = this.#views
    if (awaySinceMs !== undefined) {
      const ago = durationText(this.#options.reach.nowMs() - awaySinceMs)
      const text = `Redis has not answered since ${timeText(awaySinceMs).slice(-8)} (${ago}): these numbers are older`
      return { text, style: 'red' }
    }
    if (failure !== undefined) return { text: `cannot be read: ${reason(failure)}`, style: 'red' }
    const filter = view.filter?.text ? `/${view.filter.text}   ` : ''
    return `${filter}${view.summary()}`
  }

  #footer(): Cell {
    const mode = this.#mode
    const note = this.#note && this.#note.untilMs > this.#options.reach.nowMs() ? this.#note.cell : undefined
    if (mode.kind === 'asking') return { text: askingText(mode), style: 'yellow' }
    if (mode.kind === 'looking') return note ?? { text: hintsOf(this.#views.view), style: 'dim' }
    return note && typeof note === 'object' ? note : `${mode.sign}${mode.text}`
  }
}

function askingText({ question: { text, typed }, text: answer }: Asking): string {
  return typed === undefined ? `${text} y, or any other key` : `${text} Type ${typed} and enter: ${answer}`
}

function hintsOf({ keys, keysHint, filter }: View): string {
  const asking = keys.filter(({ deed }) => deed).map(({ key, label }) => `${key} ${label}`)
  const own = [keysHint, ...asking, filter && '/ filter'].filter(Boolean)
  return [...own, ': go to', 'esc back', '? keys', 'q quit'].join('   ')
}

function reason(error: unknown): string {
  return withoutPasswords(reasonLines(error).join(': '))
}
