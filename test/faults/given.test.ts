// An enqueue gives a job straight to a worker that waits (queue/lua/idle.lua). What may happen to that worker at that moment: it is killed, stands
// still, no longer hears, is to stop, is full; the queue is paused, its pod drains.
import { prefixOf } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { FaultProxy } from '../fault-proxy.ts'
import { redisUrl } from '../redis.ts'
import type { WorkerProcess } from '../worker-process.ts'
import { type Scene, scene as sceneOf } from './scene.ts'

const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, 'Reuse')

/** Each waiting worker, and how many slots it has free. */
async function waiting({ redis, queue }: Scene): Promise<Map<string, number>> {
  const flat = (await redis.call('ZRANGE', `${prefixOf(queue.name)}idle`, 0, -1, 'WITHSCORES')) as string[]
  return new Map(flat.flatMap((name, i) => (i % 2 === 0 ? [[name, Number(flat[i + 1])]] : [])))
}

const untilWaiting = (scene: Scene, worker: WorkerProcess, free: number) =>
  eventually(
    async () =>
      [...(await waiting(scene))].some(([name, slots]) => name.startsWith(worker.process) && slots === free),
    { what: `the worker waits with ${free} free slots`, withinMs: 20_000 },
  )

/** How many jobs the workers that are registered now were given. */
async function given({ redis, queue }: Scene): Promise<number> {
  const counts = (await queue.workers()).map(async ({ name }) =>
    Number((await redis.call('HGET', `${prefixOf(queue.name)}worker:${name}`, 'given')) ?? 0),
  )
  return (await Promise.all(counts)).reduce((sum, each) => sum + each, 0)
}

const outlast = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test(
  'each job that comes while a worker waits is given to it, up to its slots; those behind wait in the lane',
  scene(async (scene) => {
    const worker = await scene.worker({ slots: 2 })
    await untilWaiting(scene, worker, 2)
    const first = await scene.enqueue(1, 'naps', { ms: 3_000 })
    const second = await scene.enqueue(1, 'naps', { ms: 3_000 })
    expect(await waiting(scene)).toEqual(new Map())
    const third = await scene.enqueue(1, 'naps')
    for (const [handle] of [first, second]) await scene.started(handle?.id ?? '')
    expect(await third[0]?.state()).toBe('ready')
    expect(await given(scene)).toBe(2)
    await scene.idle()
    await untilWaiting(scene, worker, 2)
    await scene.judge({ faults: 0 })
  }),
  60_000,
)

test(
  'a worker that was killed while it waited is given nothing: the next one gets the job at once, and no crash is counted',
  scene(async (scene) => {
    const victim = await scene.worker({ slots: 5 })
    await untilWaiting(scene, victim, 5)
    const other = await scene.worker({ slots: 1 })
    await untilWaiting(scene, other, 1)
    victim.kill('SIGKILL')
    await victim.ended
    const [handle] = await scene.enqueue(1, 'naps')
    await scene.started(handle?.id ?? '')
    expect([...(await waiting(scene)).keys()].some((name) => name.startsWith(victim.process))).toBe(false)
    await scene.idle()
    expect(await handle?.details()).toMatchObject({ attempts: 1, crashes: 0 })
    await scene.judge({ faults: 0 })
  }),
  60_000,
)

test(
  'what is given to a worker that stands still comes back when its heartbeat has run out',
  scene(async (scene) => {
    const sleeper = await scene.worker({ slots: 5 })
    await untilWaiting(scene, sleeper, 5)
    const other = await scene.worker({ slots: 1 })
    await untilWaiting(scene, other, 1)
    sleeper.kill('SIGSTOP')
    scene.fault('worker stopped')
    const [handle] = await scene.enqueue(1, 'naps')
    expect(await given(scene)).toBe(1)
    await scene.idle()
    expect(await handle?.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 1 })
    sleeper.kill('SIGCONT')
    await eventually(() => sleeper.said('taken for dead'), { what: 'the sleeper knows', withinMs: 20_000 })
    await scene.judge({ faults: 1 })
  }),
  60_000,
)

test(
  'what was given on a connection that nothing comes through any more is found and put back, uncounted',
  scene(async (scene) => {
    const proxy = await FaultProxy.start(Number(new URL(redisUrl()).port))
    try {
      const worker = await scene.worker({ slots: 3, redisUrl: proxy.url })
      await untilWaiting(scene, worker, 3)
      proxy.forgetConnections()
      scene.fault('connections forgotten')
      const handles = [...(await scene.enqueue(1, 'naps')), ...(await scene.enqueue(1, 'naps'))]
      expect(await given(scene)).toBe(2)
      await scene.idle()
      for (const handle of handles)
        expect(await handle.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
      await untilWaiting(scene, worker, 3)
      await scene.judge({ faults: 1 })
    } finally {
      await proxy.stop()
    }
  }),
  90_000,
)

test(
  'a worker that waits gets nothing of a queue that is paused or suspended, or whose pods drain',
  scene(async (scene) => {
    const worker = await scene.worker({ slots: 3 })
    await untilWaiting(scene, worker, 3)
    const [{ podUid = '' } = {}] = await scene.queue.workers()
    const stops = [
      { close: () => scene.queue.pause(), open: () => scene.queue.resume() },
      { close: () => scene.settings({ suspended: true }), open: () => scene.settings({}) },
      { close: () => scene.queue.drain([podUid], 60_000), open: () => scene.queue.undrain([podUid]) },
    ]
    for (const { close, open } of stops) {
      await close()
      const before = await given(scene)
      const [handle] = await scene.enqueue(1, 'naps')
      expect(await handle?.state()).toBe('ready')
      expect(await given(scene)).toBe(before)
      await open()
      await scene.idle()
      await untilWaiting(scene, worker, 3)
    }
    await scene.judge({ faults: 0 })
  }),
  60_000,
)

test(
  'workers that stop while jobs come one by one lose none, and start none twice',
  scene(async (scene) => {
    const workers = [
      await scene.worker({ slots: 2 }),
      await scene.worker({ slots: 2 }),
      await scene.worker({ slots: 2 }),
    ]
    for (const worker of workers) await untilWaiting(scene, worker, 2)
    const stopped = workers.slice(1).map(async (worker, i) => {
      await outlast(400 * (i + 1))
      return worker.stop()
    })
    for (let i = 0; i < 150; i += 1) {
      await scene.enqueue(1, 'naps', { ms: i % 7 })
      await outlast(10)
    }
    expect((await Promise.all(stopped)).map(({ code }) => code)).toEqual([0, 0])
    await scene.idle()
    await scene.judge({ faults: 0 })
  }),
  90_000,
)

test(
  'no worker runs more at once than it has slots, however jobs come',
  scene(async (scene) => {
    const workers = [await scene.worker({ slots: 1 }), await scene.worker({ slots: 3 })]
    for (const [i, worker] of workers.entries()) await untilWaiting(scene, worker, i === 0 ? 1 : 3)
    for (let i = 0; i < 120; i += 1) {
      await scene.enqueue(i % 10 === 0 ? 5 : 1, 'naps', { ms: 20 })
      if (i % 3 === 0) await outlast(15)
      if (i % 20 === 0) await scene.idle()
    }
    await scene.idle()
    expect(await given(scene)).toBeGreaterThan(0)
    const events = scene.history.events().filter(({ what }) => what === 'started' || what === 'ended')
    let running = 0
    const most = Math.max(...events.map(({ what }) => (running += what === 'started' ? 1 : -1)))
    expect(most).toBeLessThanOrEqual(4)
    await scene.judge({ faults: 0 })
  }),
  90_000,
)

test(
  'a worker of several queues, whose slots are for all of them, is given nothing',
  scene(async (scene) => {
    const worker = await scene.worker({ slots: 1, queues: ['jobs', 'others'] })
    await eventually(() => worker.said('worker ready'), { what: 'the worker is ready' })
    const handles = [...(await scene.enqueue(1, 'naps')), ...(await scene.enqueue(1, 'naps'))]
    await scene.idle()
    expect(await waiting(scene)).toEqual(new Map())
    for (const handle of handles) expect(await handle.details()).toMatchObject({ attempts: 1, crashes: 0 })
    await scene.judge({ faults: 0 })
  }),
  60_000,
)
