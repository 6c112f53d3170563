// Times in buckets whose bounds grow by 15 %: whatever is read from them is at most 7 % wrong (pure).
const GROWTH = 1.15
const LN_GROWTH = Math.log(GROWTH)
/** Beyond a day all times are in one bucket. */
const LAST = Math.ceil(Math.log(86_400_000) / LN_GROWTH)
export const TIME_BUCKETS = LAST + 1

/** The bucket of a time; bucket 0 is up to 1 ms. */
export function bucketOf(ms: number): number {
  return ms <= 1 ? 0 : Math.min(LAST, Math.ceil(Math.log(ms) / LN_GROWTH))
}

/** A time in the middle of a bucket, ms. */
export function middleOf(bucket: number): number {
  return bucket === 0 ? 1 : (2 * GROWTH ** bucket) / (1 + GROWTH)
}

/** The time below which this part of all times is, from how many are in each bucket; undefined where there are none. */
export function percentile(counts: ArrayLike<number>, part: number): number | undefined {
  const rank = part * totalOf(counts)
  let below = 0
  for (let bucket = 0; bucket < counts.length; bucket += 1) {
    below += counts[bucket] ?? 0
    if (below >= rank && below > 0) return middleOf(bucket)
  }
  return undefined
}

export function totalOf(counts: ArrayLike<number>): number {
  let total = 0
  for (let bucket = 0; bucket < counts.length; bucket += 1) total += counts[bucket] ?? 0
  return total
}
