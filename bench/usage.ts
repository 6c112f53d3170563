// The end of a program of this folder that failed: wrong use is told in a sentence, a bug with its stack.

export class UsageError extends Error {}

/** Prints the error; answers the exit code: 2 for wrong use, else 1. */
export function sayFailure(program: string, error: unknown): 1 | 2 {
  const { code, message, stack } = error as { code?: string; message?: string; stack?: string }
  const isUsage = error instanceof UsageError || code?.startsWith('ERR_PARSE_ARGS')
  console.error(`${program}: ${isUsage ? message : (stack ?? error)}`)
  return isUsage ? 2 : 1
}
