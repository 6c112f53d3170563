// One JSON object a line. Messages are constants, facts are fields, so that logs can be searched and never injected into.
export type Level = 'debug' | 'info' | 'warn' | 'error'
export type Facts = Record<string, unknown>
export type Log = Record<Level, (message: string, facts?: Facts) => void>

export const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error']

export interface LogOptions {
  level: Level
  write: (line: string) => void
  fields?: Facts
}

/** A log that drops what is below `level`. An Error among the facts is written as its message, code and stack. */
export function createLog({ level, write, fields = {} }: LogOptions): Log {
  const at = (messageLevel: Level) =>
    LEVELS.indexOf(messageLevel) < LEVELS.indexOf(level)
      ? () => {}
      : (message: string, facts: Facts = {}) =>
          write(
            `${JSON.stringify({ time: new Date().toISOString(), level: messageLevel, message, ...fields, ...facts }, plainError)}\n`,
          )
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

export const silent: Log = { debug() {}, info() {}, warn() {}, error() {} }

function plainError(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value
  return {
    name: value.name,
    message: value.message,
    code: (value as { code?: unknown }).code,
    stack: value.stack,
  }
}
