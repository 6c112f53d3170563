// F1, F4, F5, F6, F22, F26 as the queue sees them: each way an attempt can end badly leaves its true reason on the job. The ways
// themselves are tested in test/worker-runtime/child.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { JobBuried } from 'millhand/client'
import { eventually } from '../eventually.ts'
import { freePort } from '../free-port.ts'
import { descendants, isAlive, sendSignal } from '../processes.ts'
import { ISOLATIONS, type Scene, scene as sceneOf } from './scene.ts'

const TINY = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))

const LOADS = fileURLToPath(new URL('../tasks/loads-unless-told-not-to.ts', import.meta.url))

const reasonFor = (result: Promise<unknown>): Promise<Error> =>
  result.then(
    () => new Error('there is a result'),
    (error) => error,
  )

const REFUSED_RESULTS = [
  ['bigint', 'failed', /BigInt/],
  ['circle', 'failed', /circular/],
  ['function', 'failed', /it is a function/],
  ['symbol', 'failed', /it is a symbol/],
  ['huge', 'output-limit', /the result has 2097154 bytes; at most 1048576 are taken/],
] as const

describe.each(ISOLATIONS)('with %s an attempt', (isolation) => {
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)
  test(
    'whose child is killed at a random moment fails with the signal, and its neighbours are untouched (F1)',
    scene(async (scene) => {
      await scene.settings({ maxAttempts: 20 })
      const worker = await scene.worker({ slots: 3 })
      const seed = Date.now() % 2 ** 31
      const delays = fc.sample(fc.integer({ min: 0, max: 150 }), { seed, numRuns: 25 })
      await scene.enqueue(60, 'naps', { ms: 120 })
      let kills = 0
      for (const delayMs of delays) {
        await new Promise((resolve) => setTimeout(resolve, delayMs))
        const victims = scene
          .childrenOf(worker)
          .filter((pid) => scene.history.of('started').some((event) => event.pid === pid))
        const victim = victims.find((pid) => isAlive(pid) && sendSignal(pid, 'SIGKILL'))
        if (!victim) continue
        scene.fault(`child ${victim} killed`)
        kills += 1
      }
      await scene.idle()
      const { counts } = await scene.queue.depth()
      // A child that is killed in the instant after its result was sent has hurt nobody.
      if (counts.retried > kills || counts.retried === 0)
        throw new Error(`${kills} kills, ${counts.retried} retries; seed ${seed}`)
      const hurt = (await scene.queue.jobs('completed', { limit: 100 })).map(({ id }) => scene.queue.job(id))
      for (const details of await Promise.all(hurt))
        for (const failure of details?.failures ?? [])
          expect(failure).toMatchObject({ outcome: 'killed', signal: 'SIGKILL' })
      await scene.judge({ faults: kills })
    }),
    90_000,
  )

  test(
    'that blocks its own event loop for longer than a lease costs its worker nothing (F4)',
    scene(async (scene) => {
      const worker = await scene.worker({ slots: 1 })
      await scene.worker({ slots: 1 })
      const [handle] = await scene.enqueue(1, 'spins', { ms: 9_000 })
      await scene.idle()
      expect(await handle?.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
      expect(worker.said('taken for dead')).toBeUndefined()
      await scene.judge({ faults: 0 })
    }),
    60_000,
  )

  test.each([
    ['busy-loops', { timeoutMs: 500 }, { outcome: 'timed-out', signal: 'SIGKILL' }],
    ['ignores-sigterm', { timeoutMs: 500 }, { outcome: 'timed-out', signal: 'SIGKILL' }],
    ['exits', {}, { outcome: 'exited', exitCode: 0 }],
    ['aborts', {}, { outcome: 'killed', signal: 'SIGABRT' }],
    ['heap-oom', {}, { outcome: 'out-of-memory' }],
    ['unhandled-rejection', {}, { outcome: 'failed', error: { message: 'nobody caught me' } }],
    ['huge-result', {}, { outcome: 'output-limit' }],
    ['floods-stdout', {}, { outcome: 'output-limit' }],
    ['no-such-task', {}, { outcome: 'failed', error: { message: expect.stringContaining('no-such-task') } }],
  ])(
    'of %s leaves its true reason on the buried job, and its neighbours run on (F5, F6, F22)',
    (task, options, reason) =>
      scene(async (scene) => {
        const worker = await scene.worker({
          slots: 2,
          modules: [TINY, scene.recorded],
          env: { NODE_OPTIONS: '--max-old-space-size=64' },
        })
        const handle = await scene.jobs.enqueue(
          task,
          { code: 0, bytes: 8_000_000, megabytes: 100, started: `${scene.history.file}-pids` },
          { maxAttempts: 1, ...options },
        )
        scene.history.add({ what: 'acknowledged', job: handle.id })
        await scene.enqueue(5, 'naps', { ms: 20 })
        await scene.idle()
        const details = await handle.details()
        expect(details).toMatchObject({ state: 'buried', attempts: 1, crashes: 0, failures: [reason] })
        expect(details?.failures[0]?.durationMs).toBeGreaterThanOrEqual(0)
        expect(worker.child.exitCode).toBe(null)
        await scene.judge({ faults: 0, ends: ['completed', 'buried'] })
      })(),
    60_000,
  )

  test(
    'whose work is done but whose result is refused is not done again: its job is buried, with the reason',
    scene(async (scene) => {
      await scene.settings({ maxAttempts: 3 })
      await scene.worker({ modules: [TINY], slots: 2 })
      for (const [returns, outcome, reason] of REFUSED_RESULTS) {
        const started = `${scene.history.file}-pids-${returns}`
        const handle = await scene.jobs.enqueue('works-in-vain', { started, returns })
        const buried = await reasonFor(handle.result())
        expect(buried).toBeInstanceOf(JobBuried)
        expect(buried.message).toMatch(reason)
        expect(buried.message.split('\n')).toHaveLength(1)
        expect(await handle.details()).toMatchObject({
          state: 'buried',
          attempts: 1,
          failures: [{ outcome }],
        })
        expect(readFileSync(started, 'utf8').trim().split('\n')).toHaveLength(1)
      }
    }),
    60_000,
  )

  test(
    'that fails tells its causes wherever it is told: in the job, in JobBuried, in the log, in a list',
    scene(async (scene) => {
      const worker = await scene.worker({ modules: [TINY] })
      const handle = await scene.jobs.enqueue('declines', { port: await freePort() }, { maxAttempts: 1 })
      const buried = await reasonFor(handle.result())
      const chain = /CardDeclined: m+…; caused by: TypeError: fetch failed; caused by: .*ECONNREFUSED/
      expect(buried.message).toMatch(chain)
      const { error } = (await handle.details())?.failures[0] ?? {}
      expect(error).toMatchObject({
        name: 'CardDeclined',
        causes: ['TypeError: fetch failed', expect.stringContaining('ECONNREFUSED')],
        stack: expect.stringMatching(
          /^CardDeclined: m+…\n.*tiny\.ts:\d+[\s\S]*caused by: TypeError: fetch failed\n/,
        ),
      })
      expect(worker.said('attempt ended')?.why).toMatch(chain)
      expect((await scene.queue.jobs('buried'))[0]?.why).toMatch(chain)
    }),
    60_000,
  )

  test(
    'leaves nothing behind after 200 children with double-forking tasks among them (F26)',
    scene(async (scene) => {
      const worker = await scene.worker({
        slots: 3,
        modules: [TINY, scene.recorded],
        env: { MILLHAND_JOBS_PER_CHILD: '1' },
      })
      const handles = await scene.jobs.enqueueMany(
        Array.from({ length: 20 }, (_, i) => ({
          task: 'forks-twice',
          input: { after: 'return', started: `${scene.history.file}-pids-${i}` },
        })),
      )
      for (const { id } of handles) scene.history.add({ what: 'acknowledged', job: id })
      await scene.enqueue(180, 'naps')
      await scene.idle(90_000)
      // Spares apart, nothing that the worker started lives, and nothing is a zombie.
      const grandchildren = handles.flatMap((_, i) =>
        readFileSync(`${scene.history.file}-pids-${i}`, 'utf8').split('\n').filter(Boolean).map(Number),
      )
      expect(grandchildren.length).toBeGreaterThanOrEqual(60)
      for (const { id } of handles) scene.history.add({ what: 'started', job: id })
      await eventually(() => !grandchildren.some(isAlive), { what: 'no grandchild lives' })
      await eventually(() => descendants(worker.pid).filter((pid) => !isAlive(pid)).length === 0, {
        what: 'no zombie is left',
      })
      await scene.judge({ faults: 0 })
    }),
    120_000,
  )

  test(
    'whose child cannot even start is the worker’s trouble: claims pause, nothing is counted, and it works again when it can (F26)',
    scene(async (scene) => {
      const folder = mkdtempSync(join(tmpdir(), 'millhand-loads-'))
      const flag = join(folder, 'broken')
      const worker = await scene.worker({
        modules: [LOADS, scene.recorded],
        env: { BROKEN_FLAG: flag },
      })
      writeFileSync(flag, '')
      // What has loaded the modules already (a spare, the zygote) must go, so that they are loaded again.
      for (const pid of scene.childrenOf(worker)) sendSignal(pid, 'SIGKILL')
      const handles = await scene.enqueue(30, 'naps')
      await eventually(
        () =>
          worker.lines.filter(({ message }) => message === 'a child could not start; claiming pauses')
            .length > 2,
        {
          what: 'the breaker opens',
          withinMs: 30_000,
        },
      )
      const claimedWhileBroken = (await scene.queue.depth()).counts.claimed
      expect(claimedWhileBroken).toBeLessThan(30 + 40)
      rmSync(folder, { recursive: true })
      await scene.idle()
      for (const handle of handles)
        expect(await handle.details()).toMatchObject({ state: 'completed', attempts: 1, crashes: 0 })
      await scene.judge({ faults: 0 })
    }),
    90_000,
  )
})
