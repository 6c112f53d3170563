// Filters of the command line: retry, cancel, delete and jobs take the same ones (millhand/queue, filter.ts).
import { type Filter, FilterInvalid, parseFilter } from 'millhand/queue'
import { CommandFailed, type Context } from './context.ts'

/** Throws CommandFailed for wrong use. */
export function filterOf(words: readonly string[], { nowMs }: Context): Filter {
  try {
    return parseFilter(words.join(' '), nowMs())
  } catch (error) {
    if (error instanceof FilterInvalid) throw new CommandFailed(error.message, { exitCode: 2 })
    throw error
  }
}
