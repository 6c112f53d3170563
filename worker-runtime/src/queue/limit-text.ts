// Limits as one text in Redis: fields like `b=2 r=10 p=60000 u=1 l=100 w=1`, which lua/limits.lua reads.
import { textOf } from './answers.ts'
import { type KeyLimits, WHEN_AT_LIMIT } from './settings.ts'

/** '' for no limit. */
export function limitsText({ maxBusy, rate, maxLength, whenAtLimit }: KeyLimits): string {
  const burst = rate && (rate.burst ?? Math.max(1, Math.ceil(rate.jobs / 10)))
  const fields = { b: maxBusy, r: rate?.jobs, p: rate?.periodMs, u: burst, l: maxLength }
  const w = whenAtLimit && WHEN_AT_LIMIT.indexOf(whenAtLimit)
  const known = Object.entries({ ...fields, w }).filter(([, value]) => value !== undefined)
  return known.map(([name, value]) => `${name}=${value}`).join(' ')
}

/** Throws RedisDataInvalid. */
export function limitsOf(text: unknown): KeyLimits {
  const found = new Map(
    [...textOf(text, 'limits').matchAll(/(\w)=(\d{1,16})/g)].map(([, name, value]) => [name, Number(value)]),
  )
  const [jobs, periodMs, burst] = ['r', 'p', 'u'].map((name) => found.get(name))
  const [maxBusy, maxLength, when] = ['b', 'l', 'w'].map((name) => found.get(name))
  return {
    ...(maxBusy !== undefined && { maxBusy }),
    ...(jobs && periodMs && { rate: { jobs, periodMs, ...(burst && { burst }) } }),
    ...(maxLength !== undefined && { maxLength }),
    ...(when !== undefined && { whenAtLimit: WHEN_AT_LIMIT[when] ?? 'Wait' }),
  }
}
