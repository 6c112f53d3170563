// F11, F13, F14, F15, F16, F18: Redis goes away, comes back, stands still, forgets its scripts, or its answers get lost.
import { RedisUnavailable } from 'millhand/client'
import { openQueue } from 'millhand/queue'
import { loadScripts } from '../../worker-runtime/src/queue/scripts.ts'
import { eventually } from '../eventually.ts'
import { FaultProxy } from '../fault-proxy.ts'
import { claimsOf } from '../handed-back.ts'
import { RedisServer } from '../redis-server.ts'
import { Scene, scene } from './scene.ts'

/** Longer than every deadline and every blocking command. The long form: npm run soak -- --faults. */
const OUTAGE_SECONDS = Number(process.env.MILLHAND_OUTAGE_SECONDS ?? 30)
const scripts = loadScripts()

describe('a Redis', () => {
  let server: RedisServer
  beforeEach(async () => {
    server = await RedisServer.start()
  }, 30_000)
  afterEach(() => server.remove())
  const url = () => server.url

  test(
    'that is restarted loses nothing, and work goes on by itself (F11)',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 4, isolation: 'Reuse' })
      await scene.enqueue(400, 'naps', { ms: 100 })
      await eventually(() => scene.history.of('ended').length > 20)
      await server.shutDown()
      scene.fault('Redis stopped')
      await new Promise((resolve) => setTimeout(resolve, 3_000)) // how long it is away
      const endedWhileAway = scene.history.of('ended').length
      await server.start()
      const backAtMs = Date.now()
      await eventually(() => scene.history.of('ended').length > endedWhileAway, {
        what: 'work goes on',
        withinMs: 5_000,
      })
      console.log(`Redis back after 3 s: work went on after ${Date.now() - backAtMs} ms`)
      await scene.idle()
      expect(worker.lines.some(({ message }) => message === 'taken for dead')).toBe(false)
      await scene.judge({ faults: 1 })
    }, url),
    60_000,
  )

  test(
    `that is away for ${OUTAGE_SECONDS} s: enqueueing fails in bounded time with a clear error, children go on, and busy and idle workers are back within 5 s (F13)`,
    scene(async (scene) => {
      const busy = await scene.worker({ slots: 1 })
      const idle = await scene.worker({ slots: 1, queues: ['other'] })
      const [long] = await scene.enqueue(1, 'naps', { ms: 15_000 })
      await scene.started(long?.id ?? '')
      await server.shutDown()
      scene.fault('Redis stopped')
      const awayAtMs = Date.now()
      const refused = await scene.jobs
        .enqueue('naps', { history: scene.history.file })
        .catch((error: unknown) => error)
      expect(refused).toBeInstanceOf(RedisUnavailable)
      expect((refused as Error).message).toMatch(/could not enqueue job .* in .*: .*127\.0\.0\.1/)
      expect(Date.now() - awayAtMs).toBeLessThan(20_000)
      await eventually(() => scene.history.of('ended', long?.id).length === 1, {
        what: 'the running job ends',
        withinMs: 60_000,
      })
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, awayAtMs + OUTAGE_SECONDS * 1_000 - Date.now())),
      ) // the length of the outage
      await server.start()
      const backAtMs = Date.now()
      const other = scene.client.queue('other')
      const [here, there] = await Promise.all([
        scene.enqueue(1, 'naps'),
        other.enqueue('naps', { history: scene.history.file }),
      ])
      await Promise.all([here[0]?.result({ timeoutMs: 5_000 }), there.result({ timeoutMs: 5_000 })])
      console.log(
        `Redis back after ${OUTAGE_SECONDS} s: busy and idle worker had run a job after ${Date.now() - backAtMs} ms`,
      )
      expect(await long?.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
      for (const worker of [busy, idle]) expect(worker.child.exitCode).toBe(null)
      await scene.idle()
      await scene.judge({ faults: 0 })
    }, url),
    (OUTAGE_SECONDS + 90) * 1_000,
  )

  test(
    'that stands still for three leases while jobs run causes no redelivery (F16)',
    scene(async (scene) => {
      const workers = [
        await scene.worker({ slots: 4, isolation: 'Reuse' }),
        await scene.worker({ slots: 4, isolation: 'Reuse' }),
      ]
      await scene.enqueue(300, 'naps', { ms: 200 })
      await eventually(() => scene.history.of('ended').length > 10)
      server.freeze()
      scene.fault('Redis frozen')
      await new Promise((resolve) => setTimeout(resolve, 21_000)) // three leases
      server.thaw()
      await scene.idle()
      expect(scene.history.of('started')).toHaveLength(300)
      for (const worker of workers) expect(worker.said('taken for dead')).toBeUndefined()
      await scene.judge({ faults: 0 })
    }, url),
    90_000,
  )

  test(
    'that forgets its scripts every 100 ms under load fails no job (F18)',
    scene(async (scene) => {
      await scene.worker({ slots: 4, isolation: 'Reuse' })
      let isFlushing = true
      const flushing = (async () => {
        while (isFlushing) {
          await scene.redis.call('SCRIPT', 'FLUSH')
          await new Promise((resolve) => setTimeout(resolve, 100))
        }
      })()
      for (let batch = 0; batch < 20; batch += 1) await scene.enqueue(50, 'naps', { ms: 1 })
      await scene.idle()
      isFlushing = false
      await flushing
      expect((await scene.queue.depth()).counts).toMatchObject({
        enqueued: 1_000,
        completed: 1_000,
        retried: 0,
      })
      await scene.judge({ faults: 0 })
    }, url),
    60_000,
  )

  test('whose answer to an enqueue is lost has the job once, and the caller learns its id (F15)', async () => {
    const proxy = await FaultProxy.start(server.port)
    const played = new Scene(server.url)
    const proxied = new Scene(proxy.url)
    try {
      await proxied.jobs.enqueue('naps', { history: '' }, { id: 'warm-up' })
      const lost = proxy.loseAnswerTo(scripts.enqueue.sha)
      const handle = await proxied.jobs.enqueue('naps', { history: '' })
      await lost
      expect(handle.enqueued).toBe('ready') // sent again; Redis had it already
      expect(await proxied.queue.depth()).toMatchObject({ ready: 2, counts: { enqueued: 2 } })
    } finally {
      await played.end()
      await proxied.end()
      await proxy.stop()
    }
  }, 30_000)

  test.each([
    ['settle and claim', 'exchange' as const],
    ['renew', 'renew' as const],
  ])(
    'whose answers to %s are lost again and again loses no job and runs none in vain (F15)',
    async (_name, verb) => {
      const proxy = await FaultProxy.start(server.port)
      const played = new Scene(server.url)
      try {
        await played.enqueue(60, 'naps', { ms: 30 })
        const worker = await played.worker({ redisUrl: proxy.url, slots: 3, isolation: 'Reuse' })
        for (let faults = 0; faults < 4; faults += 1) {
          await proxy.loseAnswerTo(scripts[verb].sha)
          played.fault(`answer to ${verb} lost`)
          await eventually(
            () => worker.lines.filter(({ message }) => message === 'sure again').length > faults,
            { what: 'it is sure again' },
          )
          if (faults < 3) await played.enqueue(20, 'naps', { ms: 30 })
        }
        await played.idle()
        // What was claimed by a call whose answer was lost never started; it was handed back, uncounted.
        expect(played.history.of('started')).toHaveLength(120)
        const claimed = await claimsOf(played.queue, 120)
        expect((await played.queue.depth()).counts).toMatchObject({
          ...{ claimed, retried: 0, lost: 0, completed: 120 },
        })
        await played.judge({ faults: 0 })
      } finally {
        await played.end()
        await proxy.stop()
      }
    },
    90_000,
  )

  test('behind a network that swallows everything for a minute without a word is given up, and nobody who asked waits for ever; when it answers again, or one side hangs up, work goes on (F14)', async () => {
    const proxy = await FaultProxy.start(server.port)
    const played = new Scene(server.url)
    const behind = new Scene(proxy.url)
    try {
      const worker = await played.worker({ redisUrl: proxy.url })
      const same = openQueue(behind.redis, played.queue.name)
      await same.depth()
      await played.enqueue(1, 'naps')
      await played.idle()
      proxy.blackHole(true)
      played.fault('black hole')
      const holeAtMs = Date.now()
      const asked = Array.from({ length: 100 }, () =>
        same.depth().then(
          () => 'answered',
          ({ code }) => code,
        ),
      )
      await eventually(
        () => worker.lines.some(({ message }) => /could not renew|answer of Redis was lost/.test(message)),
        { what: 'it notices', withinMs: 10_000 },
      )
      expect(new Set(await Promise.all(asked))).toEqual(new Set(['REDIS_UNAVAILABLE']))
      expect(Date.now() - holeAtMs).toBeLessThan(30_000)
      await new Promise((resolve) => setTimeout(resolve, holeAtMs + 60_000 - Date.now())) // how long it lasts
      proxy.blackHole(false)
      await played.enqueue(2, 'naps')
      await played.idle(20_000)
      expect((await same.depth()).counts.completed).toBe(3)
      proxy.halfClose()
      played.fault('half closed')
      await played.enqueue(2, 'naps')
      await played.idle(20_000)
      expect((await same.depth()).counts.completed).toBe(5)
      await played.judge({ faults: 2 })
    } finally {
      await played.end()
      await behind.end()
      await proxy.stop()
    }
  }, 180_000)
})
