// What a page never shows: the one place that all text of jobs passes, payloads, results, errors and output.
// A value is hidden by the name of its key, by its shape, or by a path that is set for its task. JSON is read
// token by token and never parsed as a whole, so that big numbers, double keys and a text that was cut or is
// broken stay as they are.

export const HIDDEN = '[redacted]'

export interface RedactOptions {
  /**
   * By the task's name, * for all: paths like customer.card.number or items.*.code; * is any key or index.
   */
  paths?: Readonly<Record<string, readonly string[]>>
}

export interface Redactor {
  /** Text that should be JSON: a payload, a result. */
  json(text: string, task?: string): string
  /** Any other text: of an error, a line of output. */
  text(text: string): string
}

/** In names of keys, without - _ and the like. */
const SECRET_KEY =
  /passw(or)?d|passphrase|secret|authorization|cookie|apikey|accesskey|privatekey|credential|sessionid/
/** A number is a count: max_tokens. */
const TOKEN_KEY = /token/

const SECRET_SHAPES: [RegExp, string][] = [
  [/-----BEGIN [A-Z0-9 ]{1,64}-----[\s\S]*?(?:-----END [A-Z0-9 ]{1,64}-----|$)/g, HIDDEN],
  [/(?<![\w-])eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?/g, HIDDEN],
  [/([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/:@"'<>]{0,256}:[^\s/@"'<>]{1,256}@/gi, `$1${HIDDEN}@`],
  [/\b(bearer|basic) +[\w.~+/=-]{8,}/gi, `$1 ${HIDDEN}`],
]
/** `password=…` and `"api_key": "…"` in text; the value ends at a space, a quote or a separator. */
const NAMED_IN_TEXT =
  /((?:passw(?:or)?d|passphrase|secret|token|authorization|cookie|api[-_]?key|access[-_]?key)["']?\s{0,3}[=:]\s{0,3}["']?)(?!\s|(?:bearer|basic)\s)[^\s"',;&]{3,}/gi

/** A JSON string, also one that was cut; a mark; a space; or what stands between marks. */
const TOKEN = /"(?:[^"\\]|\\[\s\S]?)*(?:"|$)|[[\]{},:]|\s+|[^\s"[\]{},:]+/g
const MOST_DEEP = 3
/** a://:b@ */
const SHORTEST = 8

export function redactor({ paths = {} }: RedactOptions = {}): Redactor {
  const parsed = new Map(Object.entries(paths).map(([task, list]) => [task, list.map((p) => p.split('.'))]))
  return {
    json: (text, task = '*') => {
      if (!/^\s*[[{"]/.test(text)) return redactText(text)
      const own = task === '*' ? [] : (parsed.get(task) ?? [])
      return redactJson(text, [...(parsed.get('*') ?? []), ...own], MOST_DEEP)
    },
    text: redactText,
  }
}

function redactText(text: string): string {
  if (text.length < SHORTEST) return text
  const shaped = SECRET_SHAPES.reduce((left, [shape, hidden]) => left.replace(shape, hidden), text)
  return shaped.replace(NAMED_IN_TEXT, `$1${HIDDEN}`)
}

/** Where the reader stands: one entry for each object or array around it. */
interface Around {
  isObject: boolean
  /** The last key or index. */
  key: string
  isKeyNext: boolean
}

function redactJson(text: string, paths: readonly string[][], depth: number): string {
  const around: Around[] = []
  const out: string[] = []
  // How deep the object or array is that is being left out.
  let hiddenAt: number | undefined
  for (const [token] of text.matchAll(TOKEN)) {
    const isMark = token.length === 1 && '[]{},:'.includes(token)
    if (hiddenAt !== undefined) {
      step(around, token, isMark)
      if (around.length < hiddenAt) hiddenAt = undefined
      continue
    }
    if (isMark) {
      if ((token === '{' || token === '[') && isSecretPlace(around, paths)) {
        out.push(quote(HIDDEN))
        hiddenAt = around.length + 1
      } else out.push(token)
      step(around, token, true)
    } else if (/^\s/.test(token)) out.push(token)
    else out.push(isKey(around) ? shownKey(around, token) : shownValue(token, around, paths, depth))
  }
  return out.join('')
}

function step(around: Around[], token: string, isMark: boolean): void {
  const here = around.at(-1)
  if (!isMark) return
  if (token === '{') around.push({ isObject: true, key: '', isKeyNext: true })
  else if (token === '[') around.push({ isObject: false, key: '0', isKeyNext: false })
  else if (token === '}' || token === ']') around.pop()
  else if (here && token === ':') here.isKeyNext = false
  else if (here && token === ',') {
    here.isKeyNext = here.isObject
    if (!here.isObject) here.key = String(Number(here.key) + 1)
  }
}

const isKey = (around: readonly Around[]) => around.at(-1)?.isKeyNext === true

/** A key is remembered, and shown unless it has a secret's shape itself. */
function shownKey(around: Around[], token: string): string {
  const here = around.at(-1)
  const key = textOf(token)
  if (here) here.key = key ?? token
  return key === undefined ? token : changed(token, key, redactText(key))
}

function shownValue(
  token: string,
  around: readonly Around[],
  paths: readonly string[][],
  depth: number,
): string {
  if (isSecretPlace(around, paths, token)) return quote(HIDDEN)
  const text = textOf(token)
  if (text === undefined) return redactText(token)
  const isJson = depth > 0 && /^\s*[{[]/.test(text)
  return changed(token, text, isJson ? redactJson(text, [], depth - 1) : redactText(text))
}

/** The token as it was, where nothing is hidden in it. */
const changed = (token: string, text: string, shown: string) => (shown === text ? token : quote(shown))

/** Of a string; one that was cut is read as far as it goes. */
function textOf(token: string): string | undefined {
  if (!token.startsWith('"')) return undefined
  const whole = token.length > 1 && token.endsWith('"') ? token : `${token}"`
  try {
    return JSON.parse(whole)
  } catch {
    return token.slice(1).replace(/"$/, '')
  }
}

function isSecretPlace(around: readonly Around[], paths: readonly string[][], value = ''): boolean {
  const here = around.at(-1)
  if (here === undefined) return false
  const plain = (here.isObject ? here.key : '').toLowerCase().replaceAll(/[^a-z0-9]/g, '')
  if (/^(null|true|false)$/.test(value)) return false
  if (SECRET_KEY.test(plain)) return true
  if (TOKEN_KEY.test(plain) && !/^-?\d/.test(value)) return true
  return paths.some((path) => isPlace(path, around))
}

/** At any depth: the path is the end of where the reader stands. */
function isPlace(path: readonly string[], around: readonly Around[]): boolean {
  const last = around.slice(-path.length)
  return last.length === path.length && path.every((part, at) => part === '*' || part === last[at]?.key)
}

const quote = (text: string) => JSON.stringify(text)
