// A list that is shown a window at a time: `]` goes on behind the last row, `[` back.
import type { ViewKey } from './view.ts'

export class Windows {
  /** The cursors of the windows up to this one; the first has none. */
  #cursors: (string | undefined)[] = [undefined]

  get cursor(): string | undefined {
    return this.#cursors.at(-1)
  }

  restart(): void {
    this.#cursors = [undefined]
  }

  /** `next`: the cursor behind what is shown. */
  keys(next: () => string | undefined): ViewKey[] {
    const forth = () => {
      const cursor = next()
      if (cursor !== undefined && cursor !== this.cursor) this.#cursors.push(cursor)
    }
    const back = () => {
      if (this.#cursors.length > 1) this.#cursors.pop()
    }
    return [
      { key: ']', label: 'the rows behind', change: forth },
      { key: '[', label: 'the rows before', change: back },
    ]
  }

  /** Nothing where one window has all. */
  text(next: string | undefined): string {
    const count = this.#cursors.length
    return count > 1 || next !== undefined
      ? `, window ${count}${next === undefined ? '' : ', ] for more'}`
      : ''
  }
}
