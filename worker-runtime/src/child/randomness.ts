// Random numbers that stay apart after a fork. Node keeps some ready in memory, which every fork would hand out again: the state of
// Math.random, the caches of randomUUID and randomInt. The zygote puts these in their places before it loads the user's modules.
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

const UUIDS_IN_CACHE = 128
const INTEGERS_IN_CACHE = 1024
const MATH_BATCH = 256 // of two words each
const TWO_TO_26 = 2 ** 26
const TWO_TO_53 = 2 ** 53

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
  syncBuiltinESMExports()
}

/** In the child, before any code of the user. What nobody asks for costs nothing. */
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
    crypto.getRandomValues(words)
    nextWord = 0
  }
  const [high = 0, low = 0] = [words[nextWord], words[nextWord + 1]]
  nextWord += 2
  return ((high >>> 5) * TWO_TO_26 + (low >>> 6)) / TWO_TO_53
}
