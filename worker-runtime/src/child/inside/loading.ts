// Why a task module does not load, and where: in a file of the user, never inside Node or Millhand. Used in a
// child (entry.ts) that is about to end. What only Node knows, it prints on stderr, where the worker reads it
// (load-failure.ts).
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { copyError, oneLine, reasonLines } from '../../errors.ts'
import { type LoadFailure, withoutScheme } from '../messages.ts'

const OURS = fileURLToPath(new URL('../..', import.meta.url))
const TYPESCRIPT = /\.[mc]?tsx?$/
const GUIDE = 'docs/writing-tasks.md'
const WITH_TSX = "start it with NODE_OPTIONS='--import tsx' (npm install tsx)"
const DIAGNOSIS_MS = 5_000
const MAX_FRAMES = 100
const MAX_FILES = 200
const WANTED = /['"](?!\.\w+["'] for )([^'"]+)['"]|module: (\S+)$|" for (\/\S+)$/
const NAMES_NO_IMPORTER = /No such built-in module|needs an import attribute|Unknown file extension/
const MAX_SOURCE_BYTES = 2 ** 20

/** Many frames of Node come first. */
export async function withWholeStacks(load: () => Promise<void>): Promise<void> {
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = MAX_FRAMES
  await load()
  if (Error.stackTraceLimit === MAX_FRAMES) Error.stackTraceLimit = stackTraceLimit
}

export function failureOf(what: string, thrown: unknown, module = ''): LoadFailure {
  const { name, code = '' } = copyError(thrown)
  const [first = '', ...causes] = reasonLines(thrown)
  const message = withoutOurs(first)
  const place = placeOf(wholeStackOf(thrown), message, module)
  const remedy = remedyFor(message, code, place)
  return {
    reason: oneLine(
      [
        `${what}: ${name === 'Error' || first.startsWith(name) ? '' : `${name}: `}${firstPartOf(message)}`,
        ...causes,
      ].join('; '),
    ),
    ...(place && { place }),
    ...(remedy && { remedy }),
  }
}

/** Node prints the position of such an error, but does not put it into the stack. */
export function isPlaceOnStderr(thrown: unknown, { place }: LoadFailure): boolean {
  return place === undefined && thrown instanceof SyntaxError
}

/** For an exit listener, while a module loads. */
export function exitOf(module: string): LoadFailure {
  const stack = new Error().stack ?? ''
  if (!/^\s+at .*\(node:internal\/process\/per_thread:/m.test(stack)) return unsettled(module)
  const place = placeInFrames(stack)
  return place ? { place } : {}
}

/**
 * The loop has run dry: a top-level `await` of the module never ends. Node tells the position only for the
 * main module, so it is loaded once more in a process of its own.
 */
function unsettled(module: string): LoadFailure {
  const { stderr } = spawnSync(process.execPath, [...process.execArgv, module], {
    stdio: ['ignore', 'ignore', 'pipe'],
    encoding: 'utf8',
    timeout: DIAGNOSIS_MS,
    killSignal: 'SIGKILL',
  })
  const place = /unsettled top-level await at ((?:file:\/\/)?\/.*:\d+)/.exec(stderr ?? '')?.[1]
  const reason = `cannot load ${module}: an await at the top level never ends`
  return { reason, ...(place && { place: withoutScheme(place) }) }
}

function wholeStackOf(thrown: unknown): string {
  try {
    return String((thrown as Error).stack)
  } catch {
    return ''
  }
}

function placeOf(stack: string, message: string, module: string): string | undefined {
  const head = /^((?:file:\/\/)?\/[^\n]*:\d+)\n/.exec(stack)?.[1]
  if (head) return withoutScheme(head)
  const [topFrame = ''] = /^\s+at .*$/m.exec(stack) ?? []
  const isOfCompiler = /^SyntaxError: /.test(stack) && topFrame.includes('(node:internal/modules/')
  return (
    placeOfImport(message, module) ??
    placeInJson(message) ??
    (isOfCompiler ? undefined : placeInFrames(stack))
  )
}

/** The first frame in a file of the user; where there is none, in a package of theirs. */
function placeInFrames(stack: string): string | undefined {
  const places = stack.split('\n').flatMap((line) => {
    const found = /^\s+at (?:.*\()?((?:file:\/\/)?\/[^()]*:\d+:\d+)\)?$/.exec(line)?.[1]
    const place = found && withoutScheme(found)
    return place && !place.startsWith(OURS) ? [place] : []
  })
  return places.find((place) => !place.includes('/node_modules/')) ?? places[0]
}

/** Node names the missing module and mostly the importing file, but not the line. */
function placeOfImport(message: string, module: string): string | undefined {
  const importer = / imported from (\/[^\n]+)$/.exec(message)?.[1]
  const wanted = WANTED.exec(message)?.slice(1).find(Boolean)
  if (wanted === undefined || (!importer && !NAMES_NO_IMPORTER.test(message))) return
  const name = /^[./]|^file:/.test(wanted) ? (wanted.split('/').at(-1) ?? '') : wanted
  return lineWith(name, importer ?? module) ?? importer
}

/** The position of the quoted name: in the file, or in a file that it imports. */
function lineWith(name: string, start: string): string | undefined {
  const isIt = (text: string) => text === name || text.endsWith(`/${name}`) || text.startsWith(`${name}/`)
  const files = [start]
  for (const file of files)
    for (const [at, line] of linesOf(file).entries())
      for (const text of line.split(/['"`]/)) {
        if (isIt(text)) return `${file}:${at + 1}`
        const path = /^\.\.?\//.test(text) ? join(dirname(file), text) : undefined
        if (path && files.length < MAX_FILES && !files.includes(path)) files.push(path)
      }
}

function placeInJson(message: string): string | undefined {
  const [, file = ''] = /^(\/[^\n:]+\.json): /.exec(message) ?? []
  const [, line, column] = /\(line (\d+) column (\d+)\)/.exec(message) ?? []
  if (file) return line ? `${file}:${line}:${column}` : `${file}:${linesOf(file).length}`
}

function remedyFor(message: string, code: string, place = ''): string | undefined {
  const [, file = place, line] = /^(.*?):(\d+)(?::\d+)?$/.exec(place) ?? []
  const isTypeScript = TYPESCRIPT.test(file)
  if (code === 'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX')
    return `Node removes types and does not compile: write it without (an object instead of an enum, assignments instead of parameter properties, modules instead of namespaces), or ${WITH_TSX}; ${GUIDE}`
  if (isTypeScript && linesOf(file)[Number(line) - 1]?.trim().startsWith('@'))
    return `Node has no decorators: call the function instead, or ${WITH_TSX}; ${GUIDE}`
  if (code === 'ERR_UNKNOWN_FILE_EXTENSION' && /"\.[tj]sx"/.test(message))
    return `Node runs no JSX: compile it to .js, or ${WITH_TSX}; ${GUIDE}`
  if (code === 'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING')
    return `Node runs no TypeScript of packages: build the package to .js, or ${WITH_TSX}; ${GUIDE}`
  const type = /does not provide an export named '([^']+)'/.exec(message)?.[1]
  if (type && isTypeScript) return `if ${type} is a type, write import type { ${type} }; ${GUIDE}`
  if (code === 'ERR_IMPORT_ATTRIBUTE_MISSING') return "write import … from '….json' with { type: 'json' }"
  if (/^(?:ERR_)?MODULE_NOT_FOUND$|^ERR_UNSUPPORTED_DIR_IMPORT$/.test(code))
    return remedyForMissing(message, file)
}

function remedyForMissing(message: string, importer: string): string | undefined {
  const wanted = /'([^']+)'/.exec(message)?.[1] ?? ''
  if (/^[./]/.test(wanted)) {
    const path = join(dirname(importer), wanted.startsWith('/') ? '' : wanted)
    const bare = wanted.startsWith('/') ? wanted : path
    const there = [
      ...['.ts', '.mts', '.cts', '.js', '.mjs', '/index.ts', '/index.js'].map((end) => bare + end),
      bare.replace(/\.([mc]?)js$/, '.$1ts'),
    ].find((candidate) => candidate !== bare && existsSync(candidate))
    return there && `an import names the whole file: ${there.slice(dirname(bare).length + 1)}; ${GUIDE}`
  }
  const name = wanted
    .split('/')
    .slice(0, wanted.startsWith('@') ? 2 : 1)
    .join('/')
  return isAlias(name, importer)
    ? `paths of tsconfig.json are for the compiler only: write relative imports, or "imports" in package.json, or ${WITH_TSX}; ${GUIDE}`
    : `npm install ${name}`
}

/** Not the name of a package, or an alias of the nearest tsconfig.json. */
function isAlias(name: string, importer: string): boolean {
  if (/^[@~]?$|^@\/|^[~#$]|[^a-z0-9@/._~-]/i.test(name)) return true
  for (let folder = dirname(importer); folder !== dirname(folder); folder = dirname(folder)) {
    const config = join(folder, 'tsconfig.json')
    if (existsSync(config))
      return linesOf(config)
        .join('\n')
        .includes(`"${name.split('/')[0]}`)
  }
  return false
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'utf8').slice(0, MAX_SOURCE_BYTES).split('\n')
  } catch {
    return []
  }
}

/** The path of Millhand's loader does not help a user. */
function withoutOurs(message: string): string {
  const [, words = message, importer = ''] = /^(.*) imported from (\/[^\n]+)$/s.exec(message) ?? []
  return importer.startsWith(OURS) ? words : message
}

function firstPartOf(message: string): string {
  return message.split('\nRequire stack:')[0] ?? message
}
