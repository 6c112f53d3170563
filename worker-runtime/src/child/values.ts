// What passes between a user's task and the frames: payloads in, results and errors out. All of it may be hostile: text that is not
// JSON or nested without end, results that do not serialize, errors whose getters throw. Pure; used by entry.ts inside the child.
import { TerminalError } from '../task.ts'
import type { JobError } from './protocol.ts'

const MAX_DEPTH = 1_000
const MAX_CAUSES = 5

/** The value of a payload. Throws a TerminalError, since no attempt will fare better, when it is not JSON, nests too deep, or carries a key `__proto__`. */
export function parsePayload(payload: string): unknown {
  if (nestsDeeperThan(MAX_DEPTH, payload))
    throw new TerminalError(`the payload nests deeper than ${MAX_DEPTH} levels`)
  const value = parseJson(payload)
  // A cheap look first: only a text with this word, or with an escaped letter of it, can have the key.
  if (/__proto__|\\u00(?:5f|6f|7[024])/i.test(payload) && hasKey(value, '__proto__'))
    throw new TerminalError('the payload has a key "__proto__"')
  return value
}

/** JSON text of what a task has returned; nothing becomes `null`. Throws a sentence when it cannot be written as JSON. */
export function encodeValue(value: unknown, what: 'result' | 'progress'): string {
  try {
    return JSON.stringify(value) ?? 'null'
  } catch (error) {
    throw new TypeError(`the ${what} cannot be written as JSON: ${copyError(error).message.split('\n')[0]}`)
  }
}

/** Copies an error field by field; whatever was thrown, and whatever its getters do. */
export function copyError(thrown: unknown): JobError {
  if (typeof thrown !== 'object' && typeof thrown !== 'function')
    return {
      name: 'Error',
      message: `${typeof thrown === 'string' ? thrown : `${String(thrown)} was thrown`}`,
    }
  if (thrown === null) return { name: 'Error', message: 'null was thrown' }
  const message = textOf(thrown, 'message') ?? asJson(thrown)
  const stack = stackWithCauses(thrown)
  const code = textOf(thrown, 'code')
  return {
    name: textOf(thrown, 'name') || 'Error',
    message,
    ...(stack === undefined ? {} : { stack }),
    ...(code === undefined ? {} : { code }),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new TerminalError(`the payload is not JSON: ${copyError(error).message}`)
  }
}

function nestsDeeperThan(maxDepth: number, json: string): boolean {
  if (json.length < 2 * maxDepth) return false
  let depth = 0
  for (let at = 0; at < json.length; at += 1) {
    const character = json.charCodeAt(at)
    if (character === 0x22) at = endOfString(json, at)
    else if (character === 0x5b || character === 0x7b) depth += 1
    else if (character === 0x5d || character === 0x7d) depth -= 1
    if (depth > maxDepth) return true
  }
  return false
}

function endOfString(json: string, start: number): number {
  for (let at = json.indexOf('"', start + 1); at >= 0; at = json.indexOf('"', at + 1)) {
    let backslashes = 0
    while (json.charCodeAt(at - 1 - backslashes) === 0x5c) backslashes += 1
    if (backslashes % 2 === 0) return at
  }
  return json.length
}

function hasKey(value: unknown, key: string): boolean {
  if (typeof value !== 'object' || value === null) return false
  if (Object.hasOwn(value, key)) return true
  return Object.values(value).some((inner) => hasKey(inner, key))
}

function textOf(thrown: object, field: string): string | undefined {
  try {
    const value = (thrown as Record<string, unknown>)[field]
    if (typeof value === 'string') return value
    return typeof value === 'number' ? String(value) : undefined
  } catch {
    return undefined
  }
}

function stackWithCauses(thrown: object): string | undefined {
  const stacks = []
  for (let error: unknown = thrown; stacks.length < MAX_CAUSES; error = causeOf(error)) {
    const stack = typeof error === 'object' && error !== null ? textOf(error, 'stack') : undefined
    if (stack === undefined) break
    stacks.push(stack.slice(0, 8192))
  }
  return stacks.length === 0 ? undefined : stacks.join('\ncaused by: ')
}

function causeOf(error: unknown): unknown {
  try {
    return (error as { cause?: unknown }).cause
  } catch {
    return undefined
  }
}

function asJson(thrown: object): string {
  try {
    return `a value that is no Error was thrown: ${JSON.stringify(thrown)?.slice(0, 1000)}`
  } catch {
    return 'a value that is no Error was thrown'
  }
}
