// What a command is given by main.ts: the only way to the terminal, to signals and to the end of the process.
import type { styleText } from 'node:util'
import type { Config } from './config.ts'

export interface Context {
  readonly config: Config
  readonly workingFolder: string
  readonly paint: Paint
  nowMs(): number
  /** A line, or several, on standard output: what was asked for. */
  print(text: string): void
  /** A line of a log without end, on standard output. False when it was dropped: too much waits to be read. */
  log(text: string): boolean
  /** On standard error: what a person should know besides. */
  note(text: string): void
  readInput(): Promise<string>
  /** What a person answers in the terminal; undefined where none is there. */
  ask(question: string): Promise<string | undefined>
  /** Called at SIGINT, SIGTERM and SIGHUP with 1, 2, …, instead of ending at once. Signals that come together are one. */
  onStop(asked: (times: number) => void): void
  /** Ends the process without waiting for anything. */
  leave(exitCode: number): never
  /** The process goes on as another program, with the same number, terminal and signals. Does not return. */
  become(file: string, args: readonly string[], environment: Record<string, string>): never
}

export type Paint = (style: Parameters<typeof styleText>[0], text: string) => string

/** A command that did its work and has bad news: the message is for a person, `exitCode` for a script. */
export class CommandFailed extends Error {
  readonly exitCode: number
  constructor(message: string, { exitCode = 1, cause }: { exitCode?: number; cause?: unknown } = {}) {
    super(message, { cause })
    this.name = 'CommandFailed'
    this.exitCode = exitCode
  }
}
