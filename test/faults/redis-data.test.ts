// F12, F19, F21: Redis is killed and loses what was not on its disk, is full, or is to drop what it has; and very many held jobs come back at once.
import { examineServer } from 'millhand/doctor'
import { newJob } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { RedisServer } from '../redis-server.ts'
import { Scene } from './scene.ts'

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function onServer(args: readonly string[], play: (scene: Scene, server: RedisServer) => Promise<void>) {
  const server = await RedisServer.start({ args })
  const scene = new Scene(server.access, 'Reuse')
  try {
    await play(scene, server)
  } finally {
    await scene.end()
    await server.remove()
  }
}

test.each([
  ['always', 0],
  ['everysec', 2_000],
])(
  'a Redis with appendfsync %s that is killed under load loses what it acknowledged in the last %d ms at most, and says so (F12)',
  (fsync, windowMs) =>
    onServer(['--appendfsync', fsync], async (scene, server) => {
      await scene.settings({ maxAttempts: 5 })
      await scene.worker({ slots: 4 })
      const acknowledgedAtMs = new Map<string, number>()
      const killedAtMs: number[] = []
      for (let kills = 0; kills < 3; kills += 1) {
        const killing = after(300 + 200 * kills).then(async () => {
          scene.fault('Redis killed')
          await server.crash()
          killedAtMs.push(Date.now())
          await server.start()
        })
        for (let n = 0; n < 150; n += 1) {
          const [job] = await scene.enqueue(1, 'naps', { ms: 5 })
          if (job) acknowledgedAtMs.set(job.id, Date.now())
          await after(2)
        }
        await killing
      }
      await scene.enqueue(1, 'naps')
      await scene.idle()
      const lost: string[] = []
      for (const [id, atMs] of acknowledgedAtMs) {
        if (await scene.queue.job(id)) continue
        lost.push(id)
        // The server was dead some milliseconds before we knew it.
        expect(killedAtMs.some((killed) => atMs <= killed && atMs >= killed - windowMs - 500)).toBe(true)
      }
      if (fsync === 'always') expect(lost).toEqual([])
      await scene.judge({ faults: 3, vanished: new Set(lost) })
    }),
  120_000,
)

test(
  'a Redis that is full refuses jobs with a code, while a worker renews, and hands back when it is told to stop; one that would drop jobs is found (F19)',
  () =>
    onServer([], async (scene) => {
      const env = { MILLHAND_DRAIN_TIMEOUT_SECONDS: '0' }
      const worker = await scene.worker({ slots: 1, env })
      const [long] = await scene.enqueue(1, 'naps', { ms: 12_000 })
      await scene.started(long?.id ?? '')
      const used = /used_memory:(\d+)/.exec(String(await scene.redis.call('INFO', 'memory')))?.[1]
      await scene.redis.call('CONFIG', 'SET', 'maxmemory', Number(used) - 100_000)
      await expect(scene.jobs.enqueue('naps', { history: scene.history.file })).rejects.toMatchObject({
        code: 'REDIS_FULL',
      })
      await after(8_000) // longer than a heartbeat lasts
      expect(worker.said('taken for dead')).toBeUndefined()
      expect(await worker.stop()).toMatchObject({ code: 0 })
      expect(await long?.details()).toMatchObject({ state: 'ready', crashes: 0 })
      await scene.redis.call('CONFIG', 'SET', 'maxmemory', '1gb')
      await scene.redis.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
      const { findings } = await examineServer(scene.redis, { nowMs: () => Date.now() })
      expect(findings).toContainEqual(expect.objectContaining({ check: 'Eviction', severity: 'problem' }))
      await scene.redis.call('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
      await scene.worker({ slots: 1 })
      await scene.idle()
      expect(await long?.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
      await scene.judge({ faults: 1 })
    }),
  90_000,
)

test(
  'a hundred thousand jobs of workers that died at once come back in slices, and whoever asks meanwhile is answered in between (F21)',
  () =>
    onServer(['--slowlog-log-slower-than', '20000', '--auto-aof-rewrite-percentage', '0'], async (scene) => {
      const { queue } = scene
      const jobs = Array.from({ length: 100_000 }, () => newJob('naps', 1))
      await queue.enqueue(jobs)
      const nothing = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }
      for (let at = 0; at < 10; at += 1) {
        const worker = `dead${at}:1`
        await queue.register({ ...nothing, worker, process: `dead${at}`, podUid: worker, slots: 10_000 })
        for (let claimed = 0; claimed < 10_000; )
          claimed += (await queue.settleAndClaim({ worker, wanted: 1_000 })).claims.length
      }
      expect((await queue.depth()).busy).toBe(100_000)
      await queue.pause()
      await scene.redis.call('SLOWLOG', 'RESET')
      await scene.worker({ slots: 1 })
      await scene.worker({ slots: 1 })
      const seenBusy = new Set<number>()
      let longestMs = 0
      await eventually(
        async () => {
          const askedAtMs = performance.now()
          const { busy } = await queue.depth()
          longestMs = Math.max(longestMs, performance.now() - askedAtMs)
          seenBusy.add(busy)
          return busy === 0
        },
        { what: 'all are put back', withinMs: 120_000, everyMs: 0 },
      )
      const slow = (await scene.redis.call('SLOWLOG', 'GET', 100)) as [number, number, number][]
      const longestScriptMs = Math.max(0, ...slow.map(([, , micros]) => micros / 1_000))
      console.log(
        `100,000 jobs put back: ${seenBusy.size} answers in between, the longest wait ${longestMs.toFixed()} ms; ${slow.length} scripts of over 20 ms, the longest ${longestScriptMs} ms`,
      )
      // One slice puts back 100: whoever asked in a loop was answered between very many of the 1,000.
      expect(seenBusy.size).toBeGreaterThan(40)
      expect(longestScriptMs).toBeLessThan(1_000)
      const { ready, counts } = await queue.depth()
      expect({ ready, lost: counts.lost, busy: counts.busy }).toEqual({
        ready: 100_000,
        lost: 100_000,
        busy: 0,
      })
    }),
  240_000,
)
