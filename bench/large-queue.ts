// A queue as large as they get, for bench/dashboard.ts: jobs in all states, keys, workers, errors, schedules, flows, actions, history.
import type { Redis } from 'ioredis'
import { connect, flow } from 'millhand/client'
import { defaultSettings, newJob, type Queue } from 'millhand/queue'

const KEYS = 20_000
const WORKERS = 500
const HELD_EACH = 10
const SCHEDULES = 10_000
const FLOWS = 1_000
const JOBS_OF_A_FLOW = 10_000
const ACTIONS = 500
const TASKS = 40
const ERROR_GROUPS = 500
/** Of each size in seconds. */
const BUCKETS: Readonly<Record<number, number>> = { 10: 200, 60: 200, 600: 200, 3600: 2_400, 43200: 200 }
const A_CALL = 1_000

export interface Amounts {
  /** Half of them delayed, a quarter with keys. */
  waiting: number
  /** Buried, and as many completed. */
  ended: number
}

/** Of some of each kind. */
export interface Ids {
  waiting: string
  last: string
  held: string
  worker: string
  buried: string
  completed: string
  schedule: string
  flow: string
}

interface Filled extends Amounts {
  queue: Queue
  url: string
}

export async function fillQueue({ queue, url, waiting, ended }: Filled): Promise<Ids> {
  const bounds = { maxLength: 2 * (waiting + ended), buriedMaxCount: ended, completedMaxCount: ended }
  await queue.configure({ ...defaultSettings, ...bounds, ownerUid: 'uid' })
  const buried = await end(queue, ended, 'terminal')
  const completed = await end(queue, ended, 'completed')
  const { held, worker } = await hold(queue)
  const last = await fillLanes(queue, waiting)
  const [schedule, itsFlow] = [await fillSchedules(queue), await fillFlows(queue, url)]
  for (let n = 0; n < ACTIONS; n += 1)
    await queue.actions.create({ verb: 'retry', filter: { terms: [] }, ids: [`nobody-${n}`], who: 'bench' })
  return { waiting: 'waiting-0', last, held, worker, buried, completed, schedule, flow: itsFlow }
}

const FACTS = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }

/** Jobs that a worker has taken, and that end or stay held. */
async function claimed(queue: Queue, worker: string, count: number) {
  await queue.register({ worker, process: 'p', slots: count, podUid: `uid-${worker}`, ...FACTS })
  await queue.enqueue(Array.from({ length: count }, (_, n) => newJob(`task-${n % TASKS}`, { order: n })))
  const { claims } = await queue.settleAndClaim({ worker, wanted: count })
  return claims
}

async function end(queue: Queue, count: number, verdict: 'terminal' | 'completed'): Promise<string> {
  let last = ''
  for (let done = 0; done < count; done += A_CALL) {
    const claims = await claimed(queue, 'w-ends:1', Math.min(A_CALL, count - done))
    const settlements = claims.map(({ id, token }, n) => ({ id, token, verdict, text: textOf(verdict, n) }))
    await queue.settleAndClaim({ worker: 'w-ends:1', settlements })
    last = claims.at(-1)?.id ?? last
  }
  await queue.deregister('w-ends:1')
  return last
}

function textOf(verdict: 'terminal' | 'completed', n: number): string {
  if (verdict === 'completed') return '1 resize 1\n{"done":true}'
  const group = `v1:${(n % ERROR_GROUPS).toString(16).padStart(16, '0')}`
  const error = { name: 'Error', message: 'connect ECONNREFUSED', stack: 'Error\n    at x (y.ts:1:1)' }
  return JSON.stringify({ outcome: 'failed', group, error })
}

async function hold(queue: Queue): Promise<{ held: string; worker: string }> {
  let held = ''
  let worker = ''
  for (let n = 0; n < WORKERS; n += 1) {
    worker = `w-${n}:1`
    held = (await claimed(queue, worker, HELD_EACH))[0]?.id ?? held
  }
  return { held, worker }
}

async function fillLanes(queue: Queue, count: number): Promise<string> {
  await queue.enqueue([newJob('resize', { order: 1 }, { id: 'waiting-0' })])
  for (let done = 0; done < count; done += A_CALL)
    await queue.enqueue(
      Array.from({ length: A_CALL }, (_, n) => {
        const key = n % 4 === 0 ? { key: `tenant-${(done + n) % KEYS}` } : {}
        return newJob('resize', { order: done + n }, n % 2 ? { delayMs: 1e9 } : key)
      }),
    )
  await queue.enqueue([newJob('resize', { order: 1 }, { id: 'waiting-last' })])
  return 'waiting-last'
}

async function fillSchedules(queue: Queue): Promise<string> {
  const names = Array.from({ length: SCHEDULES }, (_, n) => `digest:${n}`)
  for (let n = 0; n < SCHEDULES; n += 100)
    await Promise.all(
      names.slice(n, n + 100).map((name) =>
        queue.schedules.set(name, {
          cron: '0 8 * * 1-5',
          timeZone: 'Europe/Paris',
          task: 'digest',
          input: { name },
        }),
      ),
    )
  return 'digest:0'
}

async function fillFlows(queue: Queue, redis: string): Promise<string> {
  const [namespace = '', name = ''] = queue.name.split('.')
  const client = connect({ redis, namespace })
  try {
    for (let n = 0; n < FLOWS; n += 1) {
      const small = flow(`order-${n}`)
      const paid = small.add(name, 'pay', { order: n })
      small.add(name, 'pack', { order: n }, { after: [paid] })
      await client.start(small)
    }
    const large = flow('large')
    const parts = large.map(
      name,
      'part',
      Array.from({ length: JOBS_OF_A_FLOW }, (_, n) => ({ n })),
    )
    large.add(name, 'join', {}, { after: [parts] })
    await client.start(large)
  } finally {
    await client.close()
  }
  return 'large'
}

/** The last buckets of each size, with all that a bucket may have. */
export async function fillHistory(queue: Queue, redis: Redis): Promise<void> {
  const times = ['wait', 'run'].flatMap((what) => Array.from({ length: 20 }, (_, n) => `${what}:${n + 40} 9`))
  const figures = ['completed 900', 'failed 20', 'waitMs 90000', 'runMs 90000', ...times].join(' ')
  const rows = Array.from({ length: TASKS }, (_, n) => [`task-${n}`, figures]).flat()
  const state = ['', 'ready 100 delayed 100 busy 10 buried 10 oldestMs 1000 enqueued 10000 replicas 5']
  const nowMs = Date.now()
  for (const [seconds, buckets] of Object.entries(BUCKETS))
    for (let n = 0; n < buckets; n += 1) {
      const at = 1_000 * Number(seconds) * (Math.floor(nowMs / 1_000 / Number(seconds)) - n)
      await redis.hset(`mh:{${queue.name}}:stats:${seconds}:${at}`, ...rows, ...state)
    }
}
