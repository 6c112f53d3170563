// Schedules while whoever fires them dies, Redis is killed and its clock is moved: each due time makes one job.
import {
  connectRedis,
  defaultSettings,
  dueTimes,
  openQueue,
  prefixOf,
  type Queue,
  RedisUnavailable,
  type ScheduleSpec,
} from 'millhand/queue'
import { census } from '../census.ts'
import { eventually } from '../eventually.ts'
import { oneOf, randomFrom } from '../hostile-redis/random.ts'
import { RedisServer } from '../redis-server.ts'
import { scripts } from '../worker-runtime/queue/clocked-queues.ts'
import { Scene } from './scene.ts'

const BEGIN_MS = Date.parse('2026-03-29T00:00:00Z')
const SCHEDULES = 60
const LEAST_RUNS = 10_000
const ALL_MISSED = { maxRuns: 100, withinMs: 366 * 24 * 3_600_000 }
const seed = Number(process.env.MILLHAND_SCHEDULES_SEED ?? Date.now() % 2 ** 31)

let server: RedisServer
beforeEach(async () => {
  server = await RedisServer.start({ args: ['--appendfsync', 'always'] })
}, 30_000)
afterEach(() => server.remove())

test(`three firers that die at any moment, beside a Redis that is killed and whose clock is moved, lose and double no run (seed ${seed})`, async () => {
  const random = randomFrom(seed)
  const redis = connectRedis(server.url, { deadlineMs: 60_000 })
  const queue = openQueue(redis, 'faults.schedules', scripts)
  const moveTo = (ms: number) => redis.call('SET', `${prefixOf(queue.name)}clock`, ms)
  await moveTo(BEGIN_MS)
  await queue.configure({ ...defaultSettings, completedMaxCount: 0, ownerUid: 'test' })
  await queue.register({
    ...{ worker: 'p:1', process: 'p', pod: '', podUid: 'u', poolUid: '', node: '', slots: 1_000 },
    ...{ isolation: '', isolationNote: '', version: '' },
  })
  const specs = new Map<string, ScheduleSpec>()
  for (let n = 0; n < SCHEDULES; n += 1) {
    const when =
      random() < 0.3
        ? { cron: oneOf(random, ['* * * * *', '*/2 * * * *', '@every 7s']) }
        : { everyMs: 1_000 + Math.floor(random() * 15_000) }
    const jitterMs = random() < 0.3 ? Math.floor(random() * 20_000) : 0
    specs.set(`s${n}`, { ...when, jitterMs, task: 'noop', missed: ALL_MISSED })
  }
  for (const [name, spec] of specs) await queue.schedules.set(name, spec)

  const ran = new Map<string, number>()
  let runs = 0
  const collect = async () => {
    for (;;) {
      const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 1_000 })
      if (claims.length === 0) return
      for (const { id } of claims) ran.set(id, (ran.get(id) ?? 0) + 1)
      runs += claims.length
      const done = claims.map(({ id, token }) => ({
        id,
        token,
        verdict: 'completed' as const,
        text: '1 noop 1\nnull',
      }))
      await queue.settleAndClaim({ worker: 'p:1', settlements: done })
    }
  }
  /** With a connection of its own, which may end at any moment. */
  const mortal = async (act: (queue: Queue) => Promise<unknown>) => {
    const own = connectRedis(server.url, { deadlineMs: 10_000 })
    const dying = random() < 0.4 ? setTimeout(() => own.close(), random() * 8) : undefined
    try {
      await act(openQueue(own, queue.name, scripts))
    } catch (error) {
      if (!(error instanceof RedisUnavailable)) throw error
    } finally {
      clearTimeout(dying)
      own.close()
    }
  }
  const fire = () => mortal(({ schedules }) => schedules.fireDue())
  let [nowMs, kills] = [BEGIN_MS, 0]
  while (runs < LEAST_RUNS) {
    const chance = random()
    // Back by up to 40 s, ahead by up to 60 s: no more due times than `missed` makes up for.
    nowMs += chance < 0.05 ? -random() * 40_000 : chance < 0.1 ? random() * 60_000 : random() * 4_000
    nowMs = Math.floor(nowMs)
    await moveTo(nowMs)
    const firing = [fire(), fire(), fire()]
    const [name, spec] = oneOf(random, [...specs])
    const input = runs
    if (random() < 0.1) firing.push(mortal(({ schedules }) => schedules.set(name, { ...spec, input })))
    if (random() < 0.01) {
      kills += 1
      await server.crash()
      await server.start()
      await eventually(() => moveTo(nowMs).catch(() => false)) // the connection of the test is there again
    }
    await Promise.all(firing)
    if (random() < 0.3) await collect()
  }
  await queue.schedules.fireDue()
  await collect()

  const expected: string[] = []
  for (const [name, spec] of specs) {
    const { nextAtMs = 0 } = (await queue.schedules.get(name)) ?? {}
    for (let ms = BEGIN_MS; ; ) {
      ms = dueTimes(spec, { afterMs: ms, count: 1 })[0] ?? nextAtMs
      if (ms >= nextAtMs) break
      expected.push(`${name}@${ms}`)
    }
  }
  const lost = expected.filter((id) => !ran.has(id))
  const doubled = [...ran].filter(([id, times]) => times > 1 || !expected.includes(id))
  console.log(
    `seed ${seed}: ${runs} runs, Redis killed ${kills} times, lost ${lost.length}, doubled ${doubled.length}`,
  )
  expect({ lost, doubled }).toEqual({ lost: [], doubled: [] })
  expect((await census(redis, queue.name)).problems).toEqual([])
  redis.close()
}, 600_000)

test('workers that are killed, and a Redis that is killed, run each due time of every second once', async () => {
  const scene = new Scene(server.access, 'Reuse')
  try {
    await scene.settings({ completedMaxCount: 100_000 })
    const { schedules } = scene.queue
    for (const name of ['a', 'b', 'c'])
      await schedules.set(name, {
        ...{ everyMs: 1_000, task: 'naps', missed: ALL_MISSED },
        input: { history: scene.history.file, ms: 5 },
      })
    const fired = async () => (await schedules.get('a'))?.fired ?? 0
    await scene.worker()
    await scene.worker()
    for (let round = 1; round <= 4; round += 1) {
      const before = await fired()
      await eventually(async () => (await fired()) >= before + 2, { withinMs: 60_000 })
      if (round % 2 === 0) {
        await server.crash()
        await server.start()
      } else {
        scene.workers[0]?.kill('SIGKILL')
        scene.workers.shift()
        await scene.worker()
      }
    }
    const before = await eventually(fired)
    await eventually(async () => (await fired()) >= before + 2, { withinMs: 60_000 })
    for (const name of ['a', 'b', 'c']) await schedules.pause(name)
    await scene.idle()
    for (const name of ['a', 'b', 'c']) {
      const { fired = 0, last } = (await schedules.get(name)) ?? {}
      const firstMs = (last?.dueAtMs ?? 0) - 1_000 * (fired - 1)
      const states = await Promise.all(
        Array.from(
          { length: fired },
          async (_, n) => (await scene.queue.job(`${name}@${firstMs + 1_000 * n}`))?.state,
        ),
      )
      expect(states).toEqual(Array(fired).fill('completed'))
    }
  } finally {
    await scene.end()
  }
}, 300_000)
