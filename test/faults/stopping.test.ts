// F9, F10: SIGTERM under load; and a dismissal, which leaves no time.
import { prefixOf } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { sendSignal } from '../processes.ts'
import { ISOLATIONS, type Scene, scene as sceneOf } from './scene.ts'

describe.each(ISOLATIONS)('with %s a worker told to stop', (isolation) => {
  const jobs = isolation === 'Spawn' ? 60 : 200 // a fresh Node for each takes its time
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)
  test(
    'claims nothing more, lets its jobs end, and runs none twice (F9)',
    scene(async (scene) => {
      await scene.enqueue(jobs, 'naps', { ms: 50 })
      const worker = await scene.worker({ slots: 4 })
      await eventually(() => scene.history.of('ended').length > 20, { what: 'it is in full swing' })
      worker.kill('SIGTERM')
      await eventually(() => worker.said('told to stop'), { what: 'it has heard of it' })
      await new Promise((resolve) => setTimeout(resolve, 500)) // so long a claim may still be on its way
      const { claimed } = (await scene.queue.depth()).counts
      expect((await worker.ended).code).toBe(0)
      const { ready, busy, counts } = await scene.queue.depth()
      expect(counts.claimed).toBe(claimed)
      expect({ busy, lost: counts.lost, left: ready }).toEqual({
        busy: 0,
        lost: 0,
        left: jobs - scene.history.of('ended').length,
      })
      await scene.worker({ slots: 4 })
      await scene.idle()
      expect(scene.history.of('started')).toHaveLength(jobs)
      await scene.judge({ faults: 0 })
    }),
    60_000,
  )

  test.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
    'by a %s that every process of it gets lets its jobs end',
    (signal) =>
      scene(async (scene) => {
        const worker = await scene.worker({ slots: 2 })
        const handles = [
          ...(await scene.enqueue(1, 'naps', { ms: 2_000 })),
          ...(await scene.enqueue(1, 'naps-and-exits-on-signals', { ms: 2_000 })),
        ]
        for (const { id } of handles) await scene.started(id)
        for (const pid of [...scene.childrenOf(worker), worker.pid]) sendSignal(pid, signal)
        expect(await worker.ended).toEqual({ code: 0, signal: null })
        for (const handle of handles)
          expect(await handle.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
        expect(worker.said('the guard of the children has ended; starting another')).toBeUndefined()
        await scene.judge({ faults: 0 })
      })(),
    60_000,
  )

  test(
    'by the end of its terminal, which reads no more either, lets its jobs end',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 2 })
      const handles = await scene.enqueue(2, 'naps', { ms: 2_000 })
      for (const { id } of handles) await scene.started(id)
      worker.child.stdout?.destroy()
      worker.kill('SIGHUP') // by the kernel, and once more by the shell
      worker.kill('SIGHUP')
      expect(await worker.ended).toEqual({ code: 0, signal: null })
      for (const handle of handles)
        expect(await handle.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
      await scene.judge({ faults: 0 })
    }),
    60_000,
  )

  test(
    'and killed soon after, again and again, counts nothing of that against its jobs',
    scene(async (scene) => {
      await scene.settings({ maxCrashes: 2, maxAttempts: 1 })
      const [handle] = await scene.enqueue(1, 'naps', { ms: 20_000 })
      const rounds = 3
      for (let round = 1; round <= rounds; round += 1) {
        // In its pod, another worker knows that the one before is dead.
        const worker = await scene.worker({ env: { MILLHAND_POD_UID: 'pod-1' } })
        const hasStarted = () => scene.history.of('started', handle?.id).length === round
        await eventually(hasStarted, { what: 'it runs', withinMs: 30_000 })
        worker.kill('SIGTERM')
        const workers = await scene.queue.workers()
        const name = workers.find((each) => each.process === worker.process)?.name
        const entry = `${prefixOf(scene.queue.name)}worker:${name}`
        await eventually(() => scene.redis.call('HGET', entry, 'stopping'), { what: 'Redis knows' })
        worker.kill('SIGKILL')
        scene.fault('worker killed while it drained')
        await worker.ended
      }
      await scene.worker({ env: { MILLHAND_POD_UID: 'pod-1' } })
      await scene.idle()
      const details = await handle?.details()
      expect(details).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
      expect(details?.failures).toHaveLength(rounds)
      expect(details?.failures[0]).toMatchObject({
        outcome: 'worker-lost',
        message: expect.stringContaining('told to stop'),
      })
      await scene.judge({ faults: rounds })
    }),
    120_000,
  )

  test(
    'hands over what listens to that, with its checkpoint, and lets the rest end',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 2 })
      const [counting] = await scene.enqueue(1, 'counts-on', { until: 40, ms: 100 })
      const [napping] = await scene.enqueue(1, 'naps', { ms: 3_000 })
      for (const handle of [counting, napping]) await scene.started(handle?.id ?? '')
      const stepped = () => scene.history.of('stepped', counting?.id)
      await eventually(() => stepped().length > 2, { what: 'it counts' })
      worker.kill('SIGTERM')
      await eventually(async () => (await counting?.details())?.state === 'ready', {
        what: 'it is handed over',
      })
      expect(scene.history.of('ended')).toEqual([])
      expect(await worker.ended).toEqual({ code: 0, signal: null })
      expect(await napping?.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
      await scene.worker()
      expect(await counting?.result({ timeoutMs: 60_000 })).toBe(40)
      expect(stepped().map(({ detail }) => Number(detail))).toEqual(Array.from({ length: 40 }, (_, at) => at))
      expect(await counting?.details()).toMatchObject({ attempts: 1, crashes: 0, failures: [] })
      await scene.judge({ faults: 1 })
    }),
    60_000,
  )

  test(
    'hands back what does not end in time, uncounted, and another runs it at once (F10)',
    scene(async (scene) => {
      const worker = await scene.worker({ env: { MILLHAND_DRAIN_TIMEOUT_SECONDS: '1' } })
      // It outlasts the start of the second worker, on a busy machine too.
      const [handle] = await scene.enqueue(1, 'naps', { ms: 15_000 })
      await scene.started(handle?.id ?? '')
      await scene.worker()
      const { code } = await worker.stop()
      const stoppedAtMs = Date.now()
      expect(code).toBe(0)
      await eventually(() => scene.history.of('started', handle?.id).length === 2, {
        what: 'it runs elsewhere',
        withinMs: 5_000,
      })
      console.log(
        `handed back: ran again ${(scene.history.of('started', handle?.id).at(-1)?.atMs ?? 0) - stoppedAtMs} ms after the worker had ended`,
      )
      await scene.idle()
      expect(await handle?.details()).toMatchObject({
        state: 'completed',
        attempts: 1,
        crashes: 0,
        failures: [],
      })
      await scene.judge({ faults: 1 })
    }),
    90_000,
  )

  test(
    'and then dismissed, since its pod has no time left, hands back at once what it had meant to end',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 2 })
      const handles = [
        ...(await scene.enqueue(1, 'naps', { ms: 15_000 })),
        ...(await scene.enqueue(1, 'spins', { ms: 15_000 })), // hears nothing: it would use up any grace
      ]
      for (const { id } of handles) await scene.started(id)
      worker.kill('SIGTERM')
      await eventually(() => worker.said('told to stop'), { what: 'it drains' })
      const [entry] = await scene.queue.workers()
      expect(entry).toMatchObject({ held: 2 })
      expect(await scene.queue.dismiss(entry?.name ?? '')).toBe(true)
      const dismissedAtMs = performance.now()
      expect((await worker.ended).code).toBe(0)
      const tookMs = Math.round(performance.now() - dismissedAtMs)
      console.log(`dismissed: ended ${tookMs} ms later`)
      expect(scene.history.of('ended')).toEqual([])
      expect(await scene.queue.workers()).toEqual([])
      await scene.worker({ slots: 2 })
      await scene.idle()
      const uncounted = { state: 'completed', attempts: 1, crashes: 0, failures: [] }
      for (const handle of handles) expect(await handle.details()).toMatchObject(uncounted)
      await scene.judge({ faults: 1 })
    }),
    90_000,
  )
})

describe.each(ISOLATIONS)('with %s a worker that is dismissed', (isolation) => {
  const rounds = 4
  const jobs = isolation === 'Spawn' ? 40 : 200
  test(
    'in full swing loses nothing and starts nothing more, whatever is on its way to it',
    sceneOf(
      async (scene) => {
        await scene.enqueue(rounds * jobs, 'naps', { ms: 20 })
        for (let round = 1; round <= rounds; round += 1) {
          const before = scene.history.of('ended').length
          const worker = await scene.worker({ slots: 4 })
          const inSwing = () => scene.history.of('ended').length > before + 20
          await eventually(inSwing, { what: 'it is in full swing' })
          const [entry] = await scene.queue.workers()
          expect(await scene.queue.dismiss(entry?.name ?? '')).toBe(true)
          expect((await worker.ended).code).toBe(0)
          expect(await scene.queue.workers()).toEqual([])
          expect(await scene.queue.depth()).toMatchObject({ busy: 0, counts: { lost: 0, buried: 0 } })
        }
        expect((await scene.queue.depth()).ready).toBeGreaterThan(0)
        await scene.worker({ slots: 4 })
        await scene.idle()
        await scene.judge({ faults: rounds })
      },
      undefined,
      isolation,
    ),
    90_000,
  )
})
