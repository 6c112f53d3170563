// Random numbers that differ between forks. Node keeps some in memory, which each fork would repeat: the
// state of Math.random, also of each context of node:vm, and the caches of randomUUID and randomInt. The
// zygote replaces these functions before it loads the user's modules.
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import vm from 'node:vm'

const UUIDS_IN_CACHE = 128
const INTEGERS_IN_CACHE = 1024
const MATH_BATCH = 256 // of two words each
const TWO_TO_26 = 2 ** 26
const TWO_TO_53 = 2 ** 53

const { randomFillSync } = crypto // as it was before drawn.ts
const words = new Uint32Array(2 * MATH_BATCH)
const stale = { uuids: false, integers: false }
let nextWord = words.length

export function makeRandomnessForkable(): void {
  Math.random = random
  const { randomUUID, randomInt } = crypto
  crypto.randomUUID = (options) => {
    if (stale.uuids) burn('uuids', UUIDS_IN_CACHE, randomUUID)
    return randomUUID(options)
  }
  Object.assign(Object.getPrototypeOf(globalThis.crypto), { randomUUID: () => crypto.randomUUID() })
  const forkable = (...all: unknown[]) => {
    if (stale.integers) burn('integers', INTEGERS_IN_CACHE, () => randomInt(2))
    return Reflect.apply(randomInt, crypto, all)
  }
  crypto.randomInt = Object.assign(forkable, randomInt) as typeof randomInt
  makeContextsForkable()
  syncBuiltinESMExports()
}

/**
 * Each context has its own Math. It gets numbers from here, and no object through which its code could
 * escape.
 */
function makeContextsForkable(): void {
  const { createContext, runInContext, runInNewContext, Script } = vm
  const { runInNewContext: run } = Script.prototype
  vm.createContext = (object, options) => {
    const context = createContext(object, options)
    runInContext(
      '(draw) => { if (typeof Math === "object") Math.random = () => draw() }',
      context,
    )(() => Math.random())
    return context
  }
  const contextFor = (
    object: Parameters<typeof runInNewContext>[1],
    options: vm.RunningScriptInNewContextOptions | string | undefined,
  ) => {
    const {
      contextName: name,
      contextOrigin: origin,
      contextCodeGeneration: codeGeneration,
      microtaskMode,
    } = typeof options === 'object' ? options : {}
    const given = Object.entries({ name, origin, codeGeneration, microtaskMode }).filter(
      ([, value]) => value !== undefined,
    )
    return vm.createContext(object as vm.Context, Object.fromEntries(given))
  }
  vm.runInNewContext = (code, object, options) => runInNewContext(code, contextFor(object, options), options)
  Script.prototype.runInNewContext = function (object, options) {
    return Reflect.apply(run, this, [contextFor(object, options), options])
  }
}

/** In the child, before any code of the user: each cache is renewed at its first use. */
export function renewRandomness(): void {
  nextWord = words.length
  stale.uuids = true
  stale.integers = true
}

function burn(cache: keyof typeof stale, count: number, take: () => unknown): void {
  stale[cache] = false
  for (let taken = 0; taken < count; taken += 1) take()
}

function random(): number {
  if (nextWord === words.length) {
    randomFillSync(words)
    nextWord = 0
  }
  const [high = 0, low = 0] = [words[nextWord], words[nextWord + 1]]
  nextWord += 2
  return ((high >>> 5) * TWO_TO_26 + (low >>> 6)) / TWO_TO_53
}
