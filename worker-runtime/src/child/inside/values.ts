// Payloads and results, between a user's task and the frames. All of them may be hostile: invalid or deeply
// nested JSON, results that do not serialize. Pure; used by entry.ts inside the child.
import { reasonOf } from '../../errors.ts'
import { TerminalError } from '../../task.ts'

const MAX_DEPTH = 1_000

/**
 * The value of a payload. Throws a TerminalError, because each attempt would fail, when it is not JSON, nests
 * too deep, or has a key `__proto__`.
 */
export function parsePayload(payload: string): unknown {
  if (payload === '') return undefined
  if (nestsDeeperThan(MAX_DEPTH, payload))
    throw new TerminalError(`the payload nests deeper than ${MAX_DEPTH} levels`)
  const value = parseJson(payload)
  // A cheap check first: only a text with this word, or with one of its letters escaped, can have the key.
  if (/__proto__|\\u00(?:5f|6f|7[024])/i.test(payload) && hasKey(value, '__proto__'))
    throw new TerminalError('the payload has a key "__proto__"')
  return value
}

/**
 * The JSON text of a task's result. Throws a TerminalError: the work is done, and another attempt would
 * repeat it.
 */
export function encodeResult(output: unknown): string {
  try {
    return encodeValue(output, 'the result')
  } catch (error) {
    const refusal = new TerminalError(`${reasonOf(error)}; its work is done, so the job is not tried again`)
    delete refusal.stack // no place of the task's
    throw refusal
  }
}

/**
 * The JSON text of a value of a task; undefined becomes `null`. Throws an Error when it is not JSON.
 */
export function encodeValue(value: unknown, what: string): string {
  if (typeof value === 'function' || typeof value === 'symbol')
    throw new TypeError(`${what} cannot be written as JSON: it is a ${typeof value}`)
  try {
    return JSON.stringify(value) ?? 'null'
  } catch (error) {
    throw new TypeError(`${what} cannot be written as JSON: ${reasonOf(error)}`)
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new TerminalError(`the payload is not JSON: ${reasonOf(error)}`)
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
