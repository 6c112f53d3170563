// Options of commands and their values, and the examples behind a command's help. Those of the server are in server.ts.
import { type Command, InvalidArgumentError } from 'commander'
import { durationMs } from './units.ts'

export function withJsonOption(command: Command, what = 'one JSON document'): Command {
  return command.option('--json', `print ${what}, for programs`)
}

export function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`
}

export function durationOption(text: string): number {
  const ms = durationMs(text)
  if (ms === undefined) throw new InvalidArgumentError('A duration is like 500ms, 30s, 5m, 2h or 1d.')
  return ms
}

export function positiveDurationOption(text: string): number {
  const ms = durationOption(text)
  if (ms === 0) throw new InvalidArgumentError('It is longer than 0.')
  return ms
}

export function wholeNumberOption(least: number, most = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (/^\d+$/.test(text) && value >= least && value <= most) return value
    const upTo = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`It is a whole number ${upTo}.`)
  }
}

/** Of an option that may be given several times. */
export const listOption = (value: string, before: string[] = []): string[] => [...before, value]
