// The fingerprint of a failure: the same for failures of the same kind, whatever ids, numbers and paths stand
// in their messages. Made by the worker with each attempt that failed; counted by lua/errors.lua (pure).
import { createHash } from 'node:crypto'
import type { Failed } from './errors.ts'

/** Another way to make them is another version: groups of two versions are never mixed. */
const VERSION = 'v1'

/**
 * Of the outcome, the class and the message of the error, those of all its causes, and the first function of
 * the user's own code in the stack.
 */
export function fingerprintOf({ outcome, message = '', error }: Failed): string {
  const parts = error
    ? [
        outcome,
        error.name,
        error.code ?? '',
        error.message,
        ...(error.causes ?? []),
        ownFunctionIn(error.stack),
      ]
    : [outcome, message]
  const text = parts.map((part) => withoutVariables(part)).join('\n')
  return `${VERSION}:${createHash('sha256').update(text).digest('hex').slice(0, 16)}`
}

export const isFingerprint = (text: unknown): text is string =>
  typeof text === 'string' && /^v\d:[0-9a-f]{16}$/.test(text)

const MAX_MESSAGE = 1_000

/** In this order: a URL has a path, a path has numbers. */
const VARIABLES: readonly [RegExp, string][] = [
  [/\b[a-z][a-z0-9+.-]{1,20}:\/\/[^\s"'<>)]+/gi, '<url>'],
  [/[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+/g, '<email>'],
  [/"[^"\n]*"|'(?<!\w')[^'\n]*'(?!\w)|`[^`\n]*`/g, '<text>'],
  [/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b/gi, '<id>'],
  [/(?<![\w<])(?:[A-Za-z]:)?(?:[\\/][\w.@+~-]+)+[\\/]?/g, '<path>'],
  [/\b0x[0-9a-f]+\b/gi, '<id>'],
  // A word with both, or a long hexadecimal one: ids of jobs, hashes, names of pods.
  [/\b(?=[a-z_-]*\d)(?=[\d_-]*[a-z])[\w-]{8,}\b|\b[0-9a-f]{16,}\b/gi, '<id>'],
  [/\d+(?:[.,:]\d+)*/g, '<n>'],
]

export function withoutVariables(text: string): string {
  let kind = text.slice(0, MAX_MESSAGE)
  for (const [variable, place] of VARIABLES) kind = kind.replace(variable, place)
  return kind.replace(/\s+/g, ' ').trim()
}

/** Dependencies, and this package where it is no dependency: in the repository and in the worker's image. */
const NOT_OWN = /[\\/](?:node_modules|worker-runtime[\\/](?:src|dist))[\\/]/
const FRAME = /^ *at (?:async |new )*(?:(.*?) \()?([^()\s]*?)(?::\d+){0,2}\)?$/

/** The first frame that is neither Node's, a dependency's nor Millhand's: its function, else its file. */
export function ownFunctionIn(stack = ''): string {
  for (const line of stack.split('\n')) {
    const [, name, file = ''] = FRAME.exec(line) ?? []
    if (!/[\\/]/.test(file) || file.startsWith('node:')) continue
    if (NOT_OWN.test(file)) continue
    const own = name?.replace(/ \[as .*\]$/, '').replace(/^(?:Object|Module|Function)\./, '')
    return own && own !== '<anonymous>' ? own : fileOf(file)
  }
  return ''
}

/** Without folders, ending and the hash of a bundler. */
function fileOf(path: string): string {
  const name = path.split(/[\\/]/).at(-1) ?? ''
  return name
    .replace(/\?.*$/, '')
    .replace(/\.[a-z]+$/, '')
    .replace(/[-.][0-9A-Za-z_]{8,}$/, '')
}
