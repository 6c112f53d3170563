// The context of a command, from main.ts: the only way to the terminal, to signals and to the end of the
// process.
import type { styleText } from 'node:util'
import type { Config } from './config.ts'
import type { OpenTerminal } from './top/terminal.ts'

export interface Context {
  readonly config: Config
  readonly workingFolder: string
  readonly paint: Paint
  nowMs(): number
  /** Prints the answer of a command, a line or several, on standard output. */
  print(text: string): void
  /**
   * A line of an endless log, on standard output. False: it was dropped, because its reader is too slow.
   */
  log(text: string): boolean
  /** A remark for a person, on standard error. */
  note(text: string): void
  readInput(): Promise<string>
  /** The answer of a person in the terminal; undefined where there is no terminal. */
  ask(question: string): Promise<string | undefined>
  readonly terminal: {
    readonly isColored: boolean
    /** It has no UTF-8. */
    readonly isAscii: boolean
    /** For a command that draws; absent where input or output is no terminal. */
    readonly open?: OpenTerminal
  }
  /**
   * Called at SIGINT, SIGTERM and SIGHUP with 1, 2, …, instead of ending at once. Signals that come together
   * are one.
   */
  onStop(asked: (times: number) => void): void
  /** Ends the process without waiting for anything. */
  leave(exitCode: number): never
  /** Replaces the program of this process (exec): same pid, terminal and signals. Does not return. */
  become(file: string, args: readonly string[], environment: Record<string, string>): never
}

export type Paint = (style: Parameters<typeof styleText>[0], text: string) => string

/** The failure of a command: the message is for a person, `exitCode` for a script. */
export class CommandFailed extends Error {
  readonly exitCode: number
  constructor(message: string, { exitCode = 1, cause }: { exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause })
    this.name = 'CommandFailed'
    this.exitCode = exitCode
  }
}
