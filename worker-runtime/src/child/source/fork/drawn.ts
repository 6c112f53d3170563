// Random numbers, keys, ids and the pid that modules read while they load: they would be the same in each
// fork. The zygote notes each read (a draw) with its module (zygote-first.ts), and refuses Fork with the name
// of the module (zygote-entry.ts).
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import { resolve } from 'node:path'
import { type Caller, callerOfHook } from './caller.ts'

const SOURCES: [owner: object, names: string[]][] = [
  [
    crypto,
    [
      ...['randomBytes', 'pseudoRandomBytes', 'prng', 'rng', 'randomFillSync', 'randomFill', 'randomInt'],
      ...['randomUUID', 'randomUUIDv7', 'generateKey', 'generateKeySync', 'generateKeyPair'],
      ...['generateKeyPairSync', 'generatePrime', 'generatePrimeSync'],
    ],
  ],
  [crypto.ECDH.prototype, ['generateKeys']],
  [crypto.DiffieHellman.prototype, ['generateKeys']],
  [crypto.DiffieHellmanGroup.prototype, ['generateKeys']],
  [Object.getPrototypeOf(globalThis.crypto), ['getRandomValues', 'randomUUID']],
  [Object.getPrototypeOf(globalThis.crypto.subtle), ['generateKey']],
]
const PID = 'process.pid'
/**
 * Draws at load that make no identity, by package: marks within one process (a name that collides with
 * nothing), a pid that is only written into logs, a counter beside random bytes that are drawn, and noticed,
 * at the first use.
 */
const HARMLESS: Record<string, string[]> = {
  'bignumber.js': ['random'],
  'brace-expansion': ['random'],
  bson: ['random'],
  bunyan: [PID],
  'core-js': ['random'],
  'core-js-pure': ['random'],
  cuid: [PID],
  jquery: ['random'],
  pino: [PID],
  'react-dom': ['random'],
  redux: ['random'],
  'signal-exit': ['random', PID],
}
const MOST_DRAWS = 100 // of a table that is filled in a loop, the first ones tell enough

type Draws = (...rest: unknown[]) => unknown

interface Draw extends Caller {
  source: string
}

const draws: Draw[] = []
const filled: { bytes: WeakRef<NodeJS.ArrayBufferView>; drawn: Buffer }[] = []
let shared: readonly string[] = []
let isNoticing = false

export function noticeDraws(): void {
  isNoticing = true
  for (const [owner, names] of SOURCES) for (const name of names) notice(owner, name)
  const draw = Math.random
  Math.random = function random() {
    if (isNoticing) note('random')
    return draw()
  }
  syncBuiltinESMExports()
}

/** The draw of process.pid, for its getter. */
export function noticePid(): void {
  if (isNoticing) note(PID)
}

/** Packages and files whose draws all children may share, by the user's setting. */
export function share(names: readonly string[]): void {
  shared = names
}

/** The modules with draws, each with the position of the first one. */
export function drawnAtLoad(): string[] {
  const firsts = new Map<string, Draw>()
  for (const draw of draws)
    if (!isShared(draw.module) && !firsts.has(draw.module)) firsts.set(draw.module, draw)
  return [...firsts.values()].map(({ module, source, place }) => `${module} (${source}, at ${place})`)
}

export function stopNoticing(): void {
  isNoticing = false
}

/**
 * In a child, before any code of the user: renews draws that a module keeps unchanged, like a pool of
 * random bytes.
 */
export function drawAgain(): void {
  for (const { bytes, drawn } of filled) {
    const kept = bytes.deref()
    if (!kept || !drawn.equals(bytesOf(kept))) continue
    crypto.randomFillSync(kept)
    drawn.set(bytesOf(kept)) // the zygote rehearses this, and its children draw once more
  }
}

/** A proxy, so that the other properties of the function (its name, its promisified form) stay. */
function notice(owner: object, name: string): void {
  const descriptor = Object.getOwnPropertyDescriptor(owner, name)
  if (typeof descriptor?.value !== 'function') return
  const apply = (draw: Draws, self: unknown, rest: unknown[]) => {
    if (!isNoticing || !note(name)) return Reflect.apply(draw, self, rest)
    const isWhole = rest.slice(1).every((value) => typeof value !== 'number')
    const last = rest.at(-1)
    const told = isWhole && typeof last === 'function' ? [...rest.slice(0, -1), keeping(last as Draws)] : rest
    const result = Reflect.apply(draw, self, told)
    if (isWhole) keep(result)
    return result
  }
  Object.defineProperty(owner, name, { ...descriptor, value: new Proxy(descriptor.value, { apply }) })
}

/** The callback of an asynchronous draw. */
function keeping(done: Draws) {
  return (...rest: unknown[]) => {
    keep(rest[1])
    return done(...rest)
  }
}

function keep(result: unknown): void {
  if (!ArrayBuffer.isView(result)) return
  const bytes = result as NodeJS.ArrayBufferView
  filled.push({ bytes: new WeakRef(bytes), drawn: Buffer.from(bytesOf(bytes)) })
}

function bytesOf({ buffer, byteOffset, byteLength }: NodeJS.ArrayBufferView): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

/** Whether a module drew, and the table is not full yet. */
function note(source: string): boolean {
  if (draws.length >= MOST_DRAWS) return false
  const caller = callerOfHook()
  if (!caller) return false
  const { module, isPackage } = caller
  // A line of the user may log the pid.
  const isIdentity = source !== PID || isPackage
  if (isIdentity && !HARMLESS[module]?.includes(source) && !isShared(module))
    draws.push({ ...caller, source })
  return true
}

function isShared(module: string): boolean {
  return shared.some((name) => name === module || resolve(name) === module)
}
