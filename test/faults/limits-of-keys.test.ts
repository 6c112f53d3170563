// Limits while everything breaks: workers and children are killed, Redis crashes (nothing it has acknowledged is lost: it syncs its file with
// each write), jobs are cancelled and limits of keys changed. The events of the queue, in the order of the scripts, tell what was held when.
// Random, but from a seed that stands in the name.
import fc from 'fast-check'
import { type KeyLimits, prefixOf, type QueueEvent, type Rate } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { isAlive, sendSignal } from '../processes.ts'
import { RedisServer } from '../redis-server.ts'
import type { WorkerProcess } from '../worker-process.ts'
import { Scene } from './scene.ts'

const seed = Number(process.env.MILLHAND_CHAOS_SEED ?? Date.now() % 2 ** 31)
const MAX_BUSY = 3
const QUEUE_RATE: Rate = { jobs: 40, periodMs: 1_000, burst: 10 }
const RATES: Readonly<Record<string, Rate>> = {
  quick: { jobs: 10, periodMs: 1_000, burst: 3 },
  slow: { jobs: 2, periodMs: 1_000, burst: 1 },
}
const JOBS: Readonly<Record<string, number>> = {
  greedy: 240,
  m1: 25,
  m2: 25,
  m3: 25,
  quick: 40,
  slow: 16,
  shy: 3,
}
/** Their maxBusy is changed while they run. */
const CHANGED = ['greedy', 'm1', 'm2', 'quick'] as const
const PRIORITIES = ['urgent', 'high', 'normal', 'low'] as const
/** Jobs that a lane of normal priority gets in one turn. */
const ONE_TURN = 2
const FAULTS = [
  ...['kill a child', 'kill a child', 'kill a worker', 'crash Redis', 'cancel a job'],
  ...['change a limit', 'change a limit', 'change a limit'],
] as const

/** A limit of a key, valid from some moment between these two on, in the time of Redis. */
interface Change {
  key: string
  maxBusy: number
  afterMs: number
  beforeMs: number
}

test(`limits of keys hold while workers, children and Redis are killed and limits change (seed ${seed})`, async () => {
  const server = await RedisServer.start({ args: ['--appendfsync', 'always'] })
  const scene = new Scene(server.access)
  const { queue } = scene
  const keyOf = new Map<string, string>()
  const changes: Change[] = []
  const enqueue = async (key: string, jobs: number, task = 'naps', options = {}) => {
    for (const { id } of await scene.enqueue(jobs, task, { ms: 30 }, { ...options, ...(key && { key }) }))
      keyOf.set(id, key)
  }
  try {
    await scene.settings({
      ...{ maxAttempts: 50, maxCrashes: 50, backoffMs: 50, maxBackoffMs: 200, eventsMaxCount: 1_000_000 },
      ...{ rate: QUEUE_RATE, perKey: { maxBusy: MAX_BUSY } },
    })
    const forEver = { watchedUntilMs: Date.now() + 3_600_000, usual: '' }
    await scene.redis.call('HSET', `${prefixOf(queue.name)}config`, ...Object.entries(forEver).flat())
    for (const [key, rate] of Object.entries(RATES)) await queue.setLimits(key, { rate })
    // With more slots than a turn has jobs.
    changes.push(await change(scene, 'greedy', 12))
    for (const [key, jobs] of Object.entries(JOBS)) await enqueue(key, jobs)
    for (const priority of PRIORITIES) await enqueue('m3', 5, 'fails-once', { priority })
    await enqueue('', 30)

    const team: WorkerProcess[] = []
    const hire = async (at: number) => {
      team[at] = await scene.worker({ slots: 5, isolation: at === 0 ? 'Fork' : 'Reuse' })
    }
    await Promise.all([0, 1, 2].map(hire))

    const dice = fc.sample(
      fc.record({
        fault: fc.constantFrom(...FAULTS),
        pick: fc.nat(10_000),
        waitMs: fc.integer({ min: 50, max: 700 }),
      }),
      { seed, numRuns: 1_000 },
    )
    let faults = 0
    for (const { fault, pick, waitMs } of dice) {
      if ((await leftOf(scene)) < 20) break
      scene.fault(fault)
      faults += 1
      await enqueue(`single-${faults}`, 1)
      const at = pick % 3
      const worker = team[at]
      if (worker && fault === 'kill a child') {
        const children = scene.childrenOf(worker).filter(isAlive)
        const victim = children[pick % Math.max(1, children.length)]
        if (victim) sendSignal(victim, 'SIGKILL')
      } else if (worker && fault === 'kill a worker') {
        scene.childrenOf(worker)
        worker.kill('SIGKILL')
        await worker.ended
        await hire(at)
      } else if (fault === 'crash Redis') {
        await server.crash()
        await after(waitMs)
        await server.start()
      } else if (fault === 'cancel a job') {
        await answered(() => queue.cancel([...keyOf.keys()][pick % keyOf.size] ?? ''))
      } else {
        const key = CHANGED[pick % CHANGED.length] ?? 'greedy'
        changes.push(await change(scene, key, ((pick >> 4) % 5) * (key === 'greedy' ? 4 : 1)))
      }
      await after(waitMs)
    }
    // A limit of 0 may be the last one.
    for (const key of CHANGED) changes.push(await change(scene, key, MAX_BUSY))
    await scene.idle(180_000)

    const story = await storyOf(scene, keyOf)
    console.log(
      `${keyOf.size} jobs, ${faults} faults, ${changes.length} limits changed, ${story.claims.length} claims`,
    )
    expect(overLimit(story, changes)).toEqual([])
    expect(overRate(story.claims, QUEUE_RATE)).toEqual([])
    for (const [key, rate] of Object.entries(RATES))
      expect(
        overRate(
          story.claims.filter((claim) => claim.key === key),
          rate,
        ),
      ).toEqual([])
    expect(heldUp(story)).toEqual([])
    expect(story.claims.findLastIndex(({ key }) => key === 'shy')).toBeLessThan(story.claims.length / 2)
    expect(await queue.depth()).toMatchObject({
      ready: 0,
      blocked: 0,
      busy: 0,
      counts: { enqueued: keyOf.size },
    })
    await eventually(() => team.every((worker) => worker.child.exitCode === null), {
      what: 'all workers live',
    })
    await scene.judge({ faults: 2 * faults + 1, ends: ['completed', 'cancelled'] })
  } finally {
    await scene.end()
    await server.remove()
  }
}, 600_000)

const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Right behind a crash a call may fail; these may be made twice. */
const answered = <T>(call: () => Promise<T>) => eventually(call, { what: 'Redis answers', withinMs: 60_000 })

async function leftOf({ queue }: Scene): Promise<number> {
  const { ready, delayed, busy } = await answered(() => queue.depth())
  return ready + delayed + busy
}

async function change({ queue, redis }: Scene, key: string, maxBusy: number): Promise<Change> {
  const now = async () => {
    const [seconds, micros] = (await redis.call('TIME')) as [string, string]
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000)
  }
  const limits: KeyLimits = { maxBusy, ...(RATES[key] && { rate: RATES[key] }) }
  const afterMs = await answered(now)
  await answered(async () => {
    await queue.setLimits(key, limits)
    return true
  })
  return { key, maxBusy, afterMs, beforeMs: await answered(now) }
}

interface Claim {
  id: string
  key: string
  /** Its script ran between the event before and its own, which is written last. */
  afterMs: number
  beforeMs: number
  /** How many of its key were held then, this one included. */
  held: number
}

interface Story {
  claims: Claim[]
  /** Id of a job → how many claims were before its enqueue. */
  enqueued: Map<string, number>
}

const LEFT = ['completed', 'retried', 'buried', 'cancelled', 'handed-back'] as const

/** What the events say, in their order. A call first settles and then claims. */
async function storyOf({ queue }: Scene, keyOf: ReadonlyMap<string, string>): Promise<Story> {
  const story: Story = { claims: [], enqueued: new Map() }
  const held = new Map([...keyOf.values()].map((key) => [key, new Set<string>()]))
  const heldOf = (key: string) => held.get(key) ?? new Set<string>()
  let afterMs = 0
  for await (const event of queue.events({ after: '0', follow: false })) {
    const beforeMs = event.atMs
    const idsOf = (kind: string): string[] =>
      event.changes.flatMap((each: QueueEvent['changes'][number]) =>
        each.kind === kind ? each.jobs.map(({ id }) => id) : [],
      )
    for (const id of idsOf('enqueued')) story.enqueued.set(id, story.claims.length)
    for (const id of LEFT.flatMap(idsOf)) heldOf(keyOf.get(id) ?? '').delete(id)
    for (const id of idsOf('claimed')) {
      const key = keyOf.get(id) ?? ''
      heldOf(key).add(id)
      story.claims.push({ id, key, afterMs, beforeMs, held: heldOf(key).size })
    }
    afterMs = beforeMs
  }
  return story
}

/** Claims of a key that had as many held jobs as any limit allowed that may have been valid then. */
function overLimit({ claims }: Story, changes: readonly Change[]): string[] {
  return claims.flatMap((claim) => {
    const own = changes.filter(({ key }) => key === claim.key)
    const since = own.findLastIndex(({ beforeMs }) => beforeMs < claim.afterMs)
    const valid = own.filter(({ afterMs }, i) => i >= since && afterMs <= claim.beforeMs)
    const most = Math.max(...valid.map(({ maxBusy }) => maxBusy), since < 0 ? MAX_BUSY : 0)
    return claim.key !== '' && claim.held > most
      ? [{ ...claim, most }].map((each) => JSON.stringify(each))
      : []
  })
}

/** Windows in which more started than burst + rate × window. */
function overRate(claims: readonly Claim[], { jobs, periodMs, burst = 1 }: Rate): string[] {
  return claims.flatMap((first, i) =>
    claims.slice(i).flatMap(({ beforeMs }, n) => {
      const windowMs = beforeMs - first.afterMs
      const isOver = n + 1 > burst + (windowMs * jobs) / periodMs + 1e-6
      return isOver ? [`${n + 1} within ${windowMs} ms from ${first.afterMs}`] : []
    }),
  )
}

/** Single jobs of a key of their own that let more than one turn of the greedy key pass. */
function heldUp({ claims, enqueued }: Story): string[] {
  return [...enqueued].flatMap(([id, from]) => {
    const claimed = claims.findIndex((claim) => claim.id === id)
    if (claimed < 0 || !claims[claimed]?.key.startsWith('single-')) return []
    const before = claims.slice(from, claimed).filter(({ key }) => key === 'greedy').length
    return before > ONE_TURN ? [`${before} jobs of greedy started before ${id}`] : []
  })
}
