// Unique and expiring jobs while everything breaks: workers and children are killed, and Redis crashes (nothing it has acknowledged is lost: it
// syncs its file with each write). The events of the queue, in the order of the scripts, tell what was held when. Random, but from a seed
// that stands in the name.
import fc from 'fast-check'
import type { Unique } from 'millhand/client'
import { newJobId, prefixOf, type QueueEvent } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { isAlive, sendSignal } from '../processes.ts'
import { RedisServer } from '../redis-server.ts'
import type { WorkerProcess } from '../worker-process.ts'
import { Scene } from './scene.ts'

const seed = Number(process.env.MILLHAND_CHAOS_SEED ?? Date.now() % 2 ** 31)
const ROUNDS = 40
const KEYS = ['a', 'b', 'c', 'd']
const FAULTS = ['none', 'kill a child', 'kill a child', 'kill a worker', 'crash Redis'] as const

test(`a unique key has one job, and an expired one never starts, while workers, children and Redis are killed (seed ${seed})`, async () => {
  const server = await RedisServer.start({ args: ['--appendfsync', 'always'] })
  const scene = new Scene(server.access)
  const { queue, history, jobs } = scene
  const keyOf = new Map<string, string>()
  const following = new Set<string>()
  try {
    await scene.settings({
      ...{ maxAttempts: 50, maxCrashes: 50, backoffMs: 50, maxBackoffMs: 200, eventsMaxCount: 1_000_000 },
    })
    const forEver = { watchedUntilMs: Date.now() + 3_600_000, usual: '' }
    await scene.redis.call('HSET', `${prefixOf(queue.name)}config`, ...Object.entries(forEver).flat())
    const team: WorkerProcess[] = []
    const hire = async (at: number) => {
      team[at] = await scene.worker({ slots: 3, isolation: at === 0 ? 'Fork' : 'Reuse' })
    }
    await Promise.all([0, 1, 2].map(hire))

    const enqueue = async (
      task: string,
      ms: number,
      options: { unique?: Unique; expiresInMs?: number; key?: string },
    ) => {
      const id = newJobId()
      const input = { ms, history: history.file }
      const handle = await answered(() => jobs.enqueue(task, input, { ...options, id }))
      if (options.unique && handle.enqueued !== 'duplicate') keyOf.set(id, options.unique.key)
      if (handle.enqueued === 'runs-again') following.add(id)
      else if (handle.id === id) history.add({ what: 'acknowledged', job: id })
      return handle
    }
    const dice = fc.sample(
      fc.record({
        fault: fc.constantFrom(...FAULTS),
        at: fc.nat(2),
        pick: fc.nat(1_000),
        waitMs: fc.integer({ min: 20, max: 300 }),
        enqueues: fc.array(
          fc.record({
            key: fc.constantFrom(...KEYS),
            onDuplicate: fc.constantFrom('keep', 'replace', 'runAgain'),
            ms: fc.integer({ min: 5, max: 200 }),
            task: fc.constantFrom('naps', 'naps', 'fails-once', 'rests-once'),
            isExpiring: fc.boolean(),
          }),
          { minLength: 4, maxLength: 12 },
        ),
      }),
      { seed, numRuns: ROUNDS },
    )
    let faults = 0
    for (const { fault, at, pick, waitMs, enqueues } of dice) {
      for (const { key, onDuplicate, ms, task, isExpiring } of enqueues) {
        await enqueue(task, ms, { unique: { key, onDuplicate }, ...(isExpiring && { expiresInMs: 2 * ms }) })
        await enqueue('naps', ms, { expiresInMs: 3 * ms })
      }
      const worker = team[at]
      if (fault !== 'none') {
        scene.fault(fault)
        faults += 1
      }
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
      }
      await after(waitMs)
    }
    await answered(() => queue.depth())
    await scene.idle(180_000)

    for (const id of following) if (await queue.job(id)) history.add({ what: 'acknowledged', job: id })
    const story = await storyOf(scene, keyOf)
    expect(story.problems).toEqual([])
    const started = new Set(history.of('started').map(({ job }) => job))
    expect(story.expired.filter((id) => started.has(id))).toEqual([])
    const { counts } = await queue.depth()
    console.log(
      `${counts.enqueued} jobs, ${faults} faults: ${story.expired.length} expired, ${counts.lost} taken back from dead workers`,
    )
    expect(counts).toMatchObject({ expired: story.expired.length, buried: 0, cancelled: 0, busy: 0 })
    const left = await scene.redis.call(
      'EVAL',
      "return redis.call('KEYS', ARGV[1])",
      1,
      prefixOf(queue.name),
      '*',
    )
    expect(
      (left as string[]).filter((name) => /:(unique|again|uniqueHeld|expires|rests)\b/.test(name)),
    ).toEqual([])
    await eventually(() => team.every((worker) => worker.child.exitCode === null), {
      what: 'all workers live',
    })
    await scene.judge({ faults: 2 * faults + 2, ends: ['completed', 'expired'] })
  } finally {
    await scene.end()
    await server.remove()
  }
}, 600_000)

const after = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Right behind a crash a call may fail; these may be made twice. */
const answered = <T>(call: () => Promise<T>) => eventually(call, { what: 'Redis answers', withinMs: 60_000 })

const LEFT = ['completed', 'retried', 'buried', 'cancelled', 'handed-back', 'rested'] as const

/** What the events say, in their order. A call first settles and then claims. */
async function storyOf({ queue }: Scene, keyOf: ReadonlyMap<string, string>) {
  const problems: string[] = []
  const expired: string[] = []
  const held = new Map<string, string>()
  for await (const { changes } of queue.events({ after: '0', follow: false })) {
    const idsOf = (kind: QueueEvent['changes'][number]['kind']): string[] =>
      changes.flatMap((each) => (each.kind === kind ? each.jobs.map(({ id }) => id) : []))
    expired.push(...idsOf('expired'))
    for (const id of LEFT.flatMap(idsOf))
      if (held.get(keyOf.get(id) ?? '') === id) held.delete(keyOf.get(id) ?? '')
    for (const id of idsOf('claimed')) {
      const key = keyOf.get(id)
      if (key === undefined) continue
      const other = held.get(key)
      if (other !== undefined) problems.push(`${id} began while ${other} of the same unique key ran`)
      held.set(key, id)
    }
  }
  return { problems, expired }
}
