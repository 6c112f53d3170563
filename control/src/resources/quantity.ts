// Kubernetes quantities (512Mi, 1.5Gi, 500m, 2e3) as numbers.

const MULTIPLIERS: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
}

/** The number that a quantity stands for, or undefined when it is none. */
export function parseQuantity(quantity: string | number): number | undefined {
  if (typeof quantity === 'number') return Number.isFinite(quantity) ? quantity : undefined
  const match = /^([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i))?$/.exec(
    quantity,
  )
  if (!match) return undefined
  const [, digits = '', exponent = '', suffix = ''] = match
  const multiplier = MULTIPLIERS[suffix]
  return multiplier === undefined ? undefined : Number(digits + exponent) * multiplier
}

/** Whole bytes; a part of a byte counts as one, as in Kubernetes. */
export function parseBytes(quantity: string | number): number | undefined {
  const bytes = parseQuantity(quantity)
  return bytes === undefined || bytes < 0 ? undefined : Math.ceil(bytes)
}
