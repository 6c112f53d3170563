// Numbers as people read them.
const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 })
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })

/** 1,204 */
export const count = (value: number): string => whole.format(value)

/** 1,204 as it is, 1.3M where the place is small. */
export const brief = (value: number): string => (value < 10_000 ? whole.format(value) : short.format(value))

/** 0.2, 14, 1.3K: of something a minute. */
export const rate = (value: number): string =>
  value > 0 && value < 9.95 ? value.toFixed(1).replace(/\.0$/, '') : brief(value)

export function percent(part: number, whole: number): string {
  if (whole === 0) return '0 %'
  const share = (100 * part) / whole
  return share > 0 && share < 9.95 ? `${share.toFixed(1)} %` : `${Math.round(share)} %`
}

export function bytes(value: number): string {
  if (value < 1024) return `${value} B`
  const steps = ['KiB', 'MiB', 'GiB', 'TiB']
  let left = value / 1024
  let step = 0
  while (left >= 1024 && step < steps.length - 1) {
    left /= 1024
    step += 1
  }
  return `${left < 10 ? left.toFixed(1) : Math.round(left)} ${steps[step]}`
}

/** "1 job", "3 jobs". */
export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`
