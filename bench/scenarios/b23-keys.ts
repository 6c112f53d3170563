// B23: what a key costs a job: claims serve the keys in turn, however many there are, and a limit of each key
// is kept. Through the loop alone, where Redis is half of the time.
import { connectRedis, defaultSettings, newJob, openQueue, queueName } from 'millhand/queue'
import { DRAIN_FIGURES, type Round, type Scenario, times } from '../scenario.ts'
import { drain } from '../steps.ts'

/** How many keys the jobs have in turn; 0: none has one. */
const KEYS = {
  'no key': 0,
  '1 key': 1,
  '1,000 keys': 1_000,
  '100,000 keys': 100_000,
  '1,000 keys, 2 busy each': 1_000,
} as const
type Variant = keyof typeof KEYS
const LIMITED: Variant = '1,000 keys, 2 busy each'
const PEER = 'millhand-loop'
const JOBS = 100_000
const A_CALL = 1_000

export const b23: Scenario = {
  id: 'B23',
  title: 'Drain jobs with keys',
  about: `${JOBS.toLocaleString('en-US')} no-op jobs wait, and each has the next one of so many keys, or none; then one process works at 100 at once. With a limit, a turn of a key is as many jobs as may be busy. BullMQ has no keys (its groups are part of BullMQ Pro).`,
  peers: [PEER],
  variants: Object.keys(KEYS),
  jobs: { warmUp: 0, most: JOBS },
  hasWarmUp: false,
  figures: DRAIN_FIGURES,
  async round(round) {
    await fillWithKeys(round)
    return drain(round, { slots: 100, task: 'no-op' })
  },
  criteria: (results) => {
    const compare = (variant: Variant, to: Variant, least: number) =>
      times(results, { peer: PEER, to: PEER, least, variants: [variant, to] })
    return [
      compare('1,000 keys', 'no key', 0.5),
      compare(LIMITED, 'no key', 0.5),
      compare('100,000 keys', '1,000 keys', 0.85),
    ]
  },
}

async function fillWithKeys({ variant, count, place, payload }: Round): Promise<void> {
  const redis = connectRedis(place.redisUrl)
  const queue = openQueue(redis, queueName('default', 'bench'))
  if (variant === LIMITED) await queue.configure({ ...defaultSettings, perKey: { maxBusy: 2 } })
  const keys = KEYS[variant as Variant]
  const jobOf = (n: number) => newJob('no-op', { n, payload }, keys > 0 ? { key: `key-${n % keys}` } : {})
  for (let n = 0; n < count; n += A_CALL)
    await queue.enqueue(Array.from({ length: Math.min(A_CALL, count - n) }, (_, i) => jobOf(n + i)))
  redis.close()
}
