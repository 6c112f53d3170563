// Makes text from Redis and from tasks harmless for a terminal: a program that enqueues must not move the
// cursor, change colours or reverse text in a person's terminal.

// Control characters, separators that some programs treat as line ends, and marks for the direction of text.
const UNSAFE = /[\p{Cc}\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu
const SHORT: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** One line; control characters are written as escapes. */
export function oneLine(text: string): string {
  return text.replace(UNSAFE, (character) => SHORT[character] ?? escaped(character))
}

/** Like oneLine, but keeps line ends and tabs. */
export function manyLines(text: string): string {
  return text
    .replaceAll('\r\n', '\n')
    .replace(UNSAFE, (character) =>
      /[\n\t]/.test(character) ? character : (SHORT[character] ?? escaped(character)),
    )
}

/** JSON may contain characters that terminals obey; as \uXXXX they mean the same in JSON. */
export function jsonLine(value: unknown): string {
  return withoutUnsafe(JSON.stringify(value))
}

export function jsonDocument(value: unknown): string {
  return withoutUnsafe(JSON.stringify(value, null, 2))
}

/** A URL may carry a password, and errors may carry a URL. */
export function withoutPasswords(text: string): string {
  return text
    .replace(/(\b[a-z]+:\/\/)[^\s/@'"]*@/gi, '$1***@')
    .replace(/(\bsentinelPassword=)[^\s&'"]*/gi, '$1***')
}

export function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`
}

function withoutUnsafe(json: string): string {
  return json.replace(UNSAFE, (character) => (character === '\n' ? character : `\\u${hex(character, 4)}`))
}

function escaped(character: string): string {
  return character < '\u0100' ? `\\x${hex(character, 2)}` : `\\u${hex(character, 4)}`
}

function hex(character: string, digits: number): string {
  return character.charCodeAt(0).toString(16).padStart(digits, '0')
}
