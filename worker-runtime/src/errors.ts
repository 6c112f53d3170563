// Errors as data and as text: the one place that says what went wrong, with its causes. Used in children
// (what a task threw), in the worker's log, by the client and the command line. Whatever was thrown is
// hostile: getters throw, causes go in circles, messages are huge.
import { type InspectOptions, inspect, types } from 'node:util'

/** An error as it is sent and kept. */
export interface JobError {
  name: string
  message: string
  code?: string
  /** The fields syscall, address, port, path and status, unless the message has them. */
  facts?: string
  /** One line each: its inner errors, its cause, the cause of that. */
  causes?: string[]
  /** The stack, with the stacks of the causes. */
  stack?: string
}

/** The failure of an attempt: an error, or a sentence of the worker. */
export interface Failed {
  readonly outcome: string
  readonly message?: string
  readonly error?: JobError
}

const MAX_NAME = 200
const MAX_CODE = 100
const MAX_FACTS = 300
const MAX_MESSAGE = 4_096
const MAX_CAUSE = 500
const MAX_CAUSES = 8
const MAX_INNER = 4
const MAX_STACK = 4_096
const MAX_STACK_OF_ONE = 2_048
const MAX_HEAD_OF_STACK = 400
const MAX_LINE = 2_000
/** A shorter message may stand in another one by chance. */
const TELLING_LENGTH = 8

const FACTS = ['code', 'syscall', 'hostname', 'address', 'port', 'path', 'dest', 'status', 'statusCode']
const BRIEFLY: InspectOptions = {
  depth: 2,
  breakLength: Number.POSITIVE_INFINITY,
  customInspect: false,
  maxArrayLength: 10,
  maxStringLength: 500,
}
/** Names that say nothing of a class that has them from another one. */
const BUILT_IN = /^(?:Aggregate|Eval|Range|Reference|Suppressed|Syntax|Terminal|Type|URI)?Error$/

/** Copies an error field by field; whatever was thrown, and whatever its getters do. */
export function copyError(thrown: unknown): JobError {
  const family = familyOf(thrown)
  const { name, message } = nameAndMessage(thrown, 'a value that is no Error was thrown: ')
  const code = fieldOf(thrown, 'code')
  const facts = factsOf(thrown, `${message} ${code}`)
  const causes = family.slice(1).map((each) => headOf(each))
  const stack = stacksOf(family)
  return boundedError({
    name,
    message,
    ...(code && { code }),
    ...(facts && { facts }),
    ...(causes.length > 0 && { causes }),
    ...(stack && { stack }),
  })
}

/** Each part is cut on its own, so that a long message leaves room for the causes and for the stack. */
export function boundedError({ name, message, code, facts, causes, stack }: JobError): JobError {
  return {
    name: cut(name, MAX_NAME),
    message: message.slice(0, MAX_MESSAGE).toWellFormed(),
    ...(code !== undefined && { code: cut(code, MAX_CODE) }),
    ...(facts !== undefined && { facts: cut(facts, MAX_FACTS) }),
    ...(causes !== undefined && {
      causes: causes.slice(0, MAX_CAUSES).map((cause) => cut(cause, MAX_CAUSE)),
    }),
    ...(stack !== undefined && { stack: cut(stack, MAX_STACK) }),
  }
}

/** An error that came as data: from another process, or from Redis. */
export function parseError(value: unknown): JobError | undefined {
  if (typeof value !== 'object' || value === null) return
  const { name, message, code, facts, causes, stack } = value as Record<string, unknown>
  if (typeof name !== 'string' || typeof message !== 'string') return
  const isText = (each: unknown) => typeof each === 'string'
  return boundedError({
    name,
    message,
    ...(typeof code === 'string' && { code }),
    ...(typeof facts === 'string' && { facts }),
    ...(Array.isArray(causes) && { causes: causes.filter(isText) }),
    ...(typeof stack === 'string' && { stack }),
  })
}

/** `TypeError: fetch failed; caused by: Error: connect ECONNREFUSED 127.0.0.1:1`: one line. */
export function errorText(error: JobError, maxLength = MAX_LINE): string {
  return inOneLine(errorLines(error), maxLength)
}

/** The same for a page: the whole message, then a line for each cause. */
export function errorLines(error: JobError): string[] {
  return [headText(error), ...causesOf(error)]
}

/** The thrown value in one line, for the middle of a sentence. */
export function reasonOf(thrown: unknown, maxLength = MAX_LINE): string {
  return inOneLine(reasonLines(thrown), maxLength)
}

/** The text without the class of the outermost error, if that has a message. */
export function reasonLines(thrown: unknown): string[] {
  const error = copyError(thrown)
  return [error.message.trim() === '' ? headText(error) : error.message, ...causesOf(error)]
}

/** Why an attempt failed, in one line. */
export function failureText({ outcome, message, error }: Failed, maxLength = MAX_LINE): string {
  if (error) return errorText(error, maxLength)
  return oneLine(message ? `${outcome}: ${message}` : outcome, maxLength)
}

/** Skips a cause whose message is repeated in the error's own, as many libraries do. */
function causesOf({ message, causes = [] }: JobError): string[] {
  const isNew = (cause: string) => {
    const words = cause
      .slice(cause.indexOf(': ') + 1)
      .replace(/ \([A-Z0-9_]+\)$/, '')
      .trim()
    return words.length < TELLING_LENGTH || !message.includes(words)
  }
  return causes.filter(isNew).map((cause) => `caused by: ${cause}`)
}

/** A long message leaves half of the line to the causes. */
function inOneLine([head = '', ...causes]: string[], maxLength: number): string {
  const first = oneLine(head, causes.length > 0 ? Math.ceil(maxLength / 2) : maxLength)
  return oneLine([first, ...causes].join('; '), maxLength)
}

function headText({ name, message, code, facts }: JobError): string {
  const more = [code !== undefined && !message.includes(code) && code, facts].filter(Boolean).join(', ')
  const head = message.trim() === '' ? name : `${name}: ${message}`
  return more ? `${head} (${more})` : head
}

/** The head of one error of a family; a value that is no error is shown as it is. */
function headOf(thrown: unknown): string {
  if (typeof thrown === 'string') return oneLine(thrown, MAX_CAUSE)
  if (typeof thrown !== 'object' || thrown === null || fieldOf(thrown, 'message') === undefined)
    return shown(thrown)
  const { name, message } = nameAndMessage(thrown, '')
  const code = fieldOf(thrown, 'code')
  const facts = factsOf(thrown, `${message} ${code}`)
  return oneLine(headText({ name, message, ...(code && { code }), ...(facts && { facts }) }), MAX_CAUSE)
}

function nameAndMessage(thrown: unknown, noError: string): { name: string; message: string } {
  if (typeof thrown === 'string') return { name: 'Error', message: thrown }
  if ((typeof thrown !== 'object' && typeof thrown !== 'function') || thrown === null)
    return { name: 'Error', message: `${String(thrown)} was thrown` }
  const message = readOf(thrown, 'message')
  const isWithout = message === undefined || message === null
  return {
    name: nameOf(thrown),
    message: fieldOf(thrown, 'message') ?? (isWithout ? noError + shown(thrown) : shown(message)),
  }
}

/** The name that Node's console shows: a class without a name has that of its constructor. */
function nameOf(thrown: object): string {
  const name = fieldOf(thrown, 'name')
  if (name && !BUILT_IN.test(name)) return name
  const ofClass = fieldOf(readOf(thrown, 'constructor'), 'name')
  return (ofClass !== 'Object' && ofClass) || name || 'Error'
}

function factsOf(thrown: unknown, known: string): string {
  const facts = FACTS.flatMap((field) => {
    const value = fieldOf(thrown, field)
    return !value || known.includes(value) ? [] : [`${field} ${value}`]
  })
  return facts.join(', ')
}

/** The error, its inner errors, its cause, and theirs: each once. */
function familyOf(thrown: unknown): unknown[] {
  const family: unknown[] = []
  const add = (each: unknown) => {
    if (family.length > MAX_CAUSES || each === undefined || each === null || family.includes(each)) return
    family.push(each)
    for (const inner of innerOf(each)) add(inner)
    const cause = readOf(each, 'cause')
    if (typeof cause !== 'function') add(cause) // the method of some older libraries
  }
  add(thrown)
  return family.length === 0 ? [thrown] : family
}

function innerOf(thrown: unknown): unknown[] {
  if (fieldOf(thrown, 'name') === 'SuppressedError')
    return [readOf(thrown, 'error'), readOf(thrown, 'suppressed')]
  const errors = readOf(thrown, 'errors')
  const length = readOf(errors, 'length')
  if (typeof errors !== 'object' || typeof length !== 'number') return []
  const inner = Array.from({ length: Math.min(length, MAX_INNER) }, (_, at) => readOf(errors, String(at)))
  return length > MAX_INNER ? [...inner, `and ${length - MAX_INNER} more errors`] : inner
}

function stacksOf(family: readonly unknown[]): string {
  const stacks = family.map(stackOf).filter((stack) => stack !== undefined)
  const each = Math.max(MAX_STACK_OF_ONE, Math.floor(MAX_STACK / Math.max(1, stacks.length)))
  return stacks.map((stack) => cut(stack, each)).join('\ncaused by: ')
}

/** A stack begins with the name and the message: where that is long, its frames would be cut off. */
function stackOf(thrown: unknown): string | undefined {
  const stack = fieldOf(thrown, 'stack')
  if (typeof thrown !== 'object' || thrown === null || !stack) return
  const message = fieldOf(thrown, 'message') ?? ''
  const head = `${fieldOf(thrown, 'name')}${message && `: ${message}`}`
  if (stack.startsWith(head))
    return cut(headText({ name: nameOf(thrown), message }), MAX_HEAD_OF_STACK) + stack.slice(head.length)
  const frames = Math.max(0, stack.search(/\n\s+at /))
  return cut(stack.slice(0, frames), MAX_HEAD_OF_STACK) + stack.slice(frames)
}

function fieldOf(thrown: unknown, field: string): string | undefined {
  const value = readOf(thrown, field)
  if (typeof value === 'string') return value
  return typeof value === 'number' ? String(value) : undefined
}

function readOf(thrown: unknown, field: string): unknown {
  try {
    return (thrown as Record<string, unknown> | null | undefined)?.[field]
  } catch {
    return undefined // a getter, or a proxy, that throws
  }
}

/** The value as JSON; if JSON is empty, in the console's notation. */
function shown(value: unknown): string {
  if (types.isProxy(value)) return 'a Proxy'
  const json = jsonOf(value)
  return oneLine(json === undefined || json === '{}' ? inspect(value, BRIEFLY) : json, MAX_CAUSE)
}

function jsonOf(value: unknown): string | undefined {
  try {
    return JSON.stringify(value)
  } catch {
    return undefined // a circle, a bigint, a toJSON that throws
  }
}

export function oneLine(text: string, maxLength = MAX_LINE): string {
  return cut(
    text
      .slice(0, 4 * maxLength)
      .replace(/[\r\n]\s*/g, ' ')
      .trim(),
    maxLength,
  )
}

function cut(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1).toWellFormed()}…`
}
