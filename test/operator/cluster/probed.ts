// What a probe (probe.ts) in an operator does and noted: variables for startOperator, and the notes.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Note {
  /** Of the wall clock, with a part after the point. */
  atMs: number
  pid: number
  /** message: what Redis published. strike: the signal is sent. renewal: of the lease, as any write of it but the first. */
  kind: 'read' | 'write' | 'renewal' | 'answer' | 'message' | 'strike'
  /** The same for a request and its answer. */
  call: number
  /** Method and path, or verb and queue. */
  what: string
}

export class Probe {
  readonly #folder = mkdtempSync(join(tmpdir(), 'millhand-probe-'))
  readonly #file = join(this.#folder, 'notes')

  /**
   * Of an operator. `strike`: `<signal> <before|after> <n> [<text>]`, at the n-th write of the process, or the n-th that has this text. Reads
   * need no strikes: an operator that ends around one leaves the world as one that ends before its next write.
   */
  variables(strike = ''): Record<string, string> {
    return {
      NODE_OPTIONS: `--import=${new URL('./probe.ts', import.meta.url).href}`,
      MILLHAND_TEST_NOTES: this.#file,
      MILLHAND_TEST_STRIKE: strike,
    }
  }

  notes(): Note[] {
    if (!existsSync(this.#file)) return []
    const lines = readFileSync(this.#file, 'utf8').split('\n').slice(0, -1)
    return lines.map((line) => {
      const [atMs, pid, kind, call, ...what] = line.split(' ')
      return {
        atMs: Number(atMs),
        pid: Number(pid),
        kind: kind as Note['kind'],
        call: Number(call),
        what: what.join(' '),
      }
    })
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
