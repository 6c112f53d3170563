// Random numbers: the same for the same seed, on each machine.

/** At least 0, less than 1. */
export type Random = () => number

/** mulberry32: 32 bits of state, good enough to draw arrivals from. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** A generator for each purpose, so that one does not change the numbers of another. */
export function randomFor(seed: number, purpose: string): Random {
  let hash = seed >>> 0
  for (const letter of purpose) hash = Math.imul(hash ^ letter.charCodeAt(0), 0x01000193) >>> 0
  return randomOf(hash)
}

export const between = (random: Random, least: number, most: number): number =>
  least + random() * (most - least)

export const exponential = (random: Random, mean: number): number => -Math.log(1 - random()) * mean

export function logNormal(random: Random, median: number, sigma: number): number {
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
  return median * Math.exp(sigma * normal)
}
