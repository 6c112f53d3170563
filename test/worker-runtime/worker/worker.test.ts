// A worker whose queues live in two Redis servers: what happens to one of them is no matter of the other.
import { jest } from '@jest/globals'
import { eventually } from '../../eventually.ts'
import { Scene } from '../../faults/scene.ts'
import { randomFrom } from '../../hostile-redis/random.ts'
import { RedisServer } from '../../redis-server.ts'
import { type GivenWorker, givenWorker } from './given-worker.ts'

jest.setTimeout(180_000) // real processes, on a machine that may be busy

const seed = Number(process.env.MILLHAND_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))

describe('a worker with queues in two Redis', () => {
  let servers: RedisServer[]
  let scenes: Scene[]
  let worker: GivenWorker | undefined
  beforeEach(async () => {
    servers = await Promise.all([RedisServer.start(), RedisServer.start()])
    scenes = servers.map(({ url }) => new Scene(url))
  })
  afterEach(async () => {
    for (const server of servers) server.thaw()
    await worker?.stop(0)
    worker = undefined
    for (const scene of scenes) await scene.end()
    for (const server of servers) await server.remove()
  })

  const start = async (options: { slots: number; deadlineMs?: number }) => {
    const places = scenes.map(({ access, jobs }) => ({ url: access.url, queue: jobs.name }))
    worker = await givenWorker({ places, ...options })
    return worker
  }
  const ended = (at: number) => scenes[at]?.history.of('ended').length

  test.each([1, 4])(
    'and %i slots goes on with one of them while the other one hangs in the middle of an exchange',
    async (slots) => {
      const [hanging, well] = scenes as [Scene, Scene]
      // Whoever waited for the one that hangs would wait longer than this test lasts.
      const { consumers } = await start({ slots, deadlineMs: 600_000 })
      await hanging.enqueue(1, 'naps', { ms: 300 })
      await eventually(() => hanging.history.of('started').length === 1, { what: 'a job runs' })
      servers[0]?.freeze()
      await eventually(() => consumers[0]?.turn.isUnderWay, { what: 'an exchange hangs', withinMs: 30_000 })
      await well.enqueue(40, 'naps', { ms: 5 })
      await well.idle(30_000)
      expect(ended(1)).toBe(40)
      expect(consumers[0]?.turn.isUnderWay).toBe(true)
      servers[0]?.thaw()
      await hanging.enqueue(20, 'naps', { ms: 5 })
      for (const scene of scenes) await scene.idle(60_000)
      expect(scenes.map((_, at) => ended(at))).toEqual([21, 40])
      for (const scene of scenes) await scene.judge({ faults: 1 })
    },
  )

  test('stops while one of them hangs, and what it held in the other one is settled', async () => {
    const [, well] = scenes as [Scene, Scene]
    const { consumers, stop } = await start({ slots: 4 })
    for (const scene of scenes) await scene.enqueue(2, 'naps', { ms: 1_000 })
    await eventually(() => scenes.every(({ history }) => history.of('started').length === 2), {
      what: 'all jobs run',
      withinMs: 30_000,
    })
    servers[0]?.freeze()
    worker = undefined
    await stop()
    expect(await well.queue.depth()).toMatchObject({ busy: 0, ready: 0, delayed: 0 })
    expect(await well.queue.workers()).toEqual([])
    // No answer came: here they count as held, until another worker finds this one silent.
    expect(consumers[0]?.holds).toBe(2)
  })

  test(`loses nothing while now one hangs and now the other (seed ${seed})`, async () => {
    const random = randomFrom(seed)
    const FREEZES = 6
    await start({ slots: 3, deadlineMs: 800 })
    const feeding = (async () => {
      for (let round = 0; round < 60; round += 1) {
        for (const scene of scenes)
          await scene.enqueue(1 + Math.floor(random() * 4), 'naps', { ms: random() * 60 }).catch(() => {}) // nobody promised those
        await pause(random() * 150)
      }
    })()
    for (let freezes = 0; freezes < FREEZES; freezes += 1) {
      const server = servers[Math.floor(random() * 2)]
      await pause(random() * 500)
      server?.freeze()
      await pause(200 + random() * 2_500)
      server?.thaw()
    }
    await feeding
    for (const scene of scenes) await scene.idle(90_000)
    await worker?.stop()
    worker = undefined
    for (const scene of scenes) await scene.judge({ faults: FREEZES })
  })
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
