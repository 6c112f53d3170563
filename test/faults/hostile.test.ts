// F20, F27, F28: clocks that are wrong, a producer that dies in the middle, and input that wants to do harm.
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { isJobId, newJob, prefixOf } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { scene } from './scene.ts'

const PRODUCER = fileURLToPath(new URL('./producer.ts', import.meta.url))
const SHIFTED_CLOCK = fileURLToPath(new URL('./shifted-clock.js', import.meta.url))

const produce = (args: Record<string, unknown>, nodeArgs: string[] = [], env: Record<string, string> = {}) =>
  spawn(process.execPath, ['--conditions=millhand-source', ...nodeArgs, PRODUCER, JSON.stringify(args)], {
    stdio: 'inherit',
    env: { PATH: process.env.PATH, ...env },
  })

describe('a producer', () => {
  test(
    'that is killed in the middle of a bulk and starts again with the same ids has the whole batch once (F27)',
    scene(async (scene) => {
      const batch = {
        redis: scene.access.url,
        namespace: scene.namespace,
        jobs: 20_000,
        history: scene.history.file,
      }
      const first = produce(batch)
      const ended = new Promise((resolve) => first.once('exit', resolve))
      await eventually(async () => (await scene.queue.depth()).ready > 2_000, {
        what: 'a part has arrived',
        everyMs: 1,
      })
      first.kill('SIGKILL')
      await ended
      const again = produce(batch)
      expect(await new Promise((resolve) => again.once('exit', resolve))).toBe(0)
      expect(await scene.queue.depth()).toMatchObject({ ready: 20_000, counts: { enqueued: 20_000 } })
    }),
    60_000,
  )

  test.each([-600_000, 600_000])(
    'whose clock is wrong by %i ms has its jobs run neither early nor late nor twice, and so has a worker (F20)',
    (shiftMs) =>
      scene(async (scene) => {
        const shifted = { MILLHAND_TEST_SHIFT_MS: String(shiftMs) }
        const producer = produce(
          {
            redis: scene.access.url,
            namespace: scene.namespace,
            jobs: 20,
            delayMs: 4_000,
            history: scene.history.file,
          },
          ['--import', SHIFTED_CLOCK],
          shifted,
        )
        expect(await new Promise((resolve) => producer.once('exit', resolve))).toBe(0)
        const noticedAtMs = Date.now()
        await scene.worker({
          slots: 4,
          isolation: 'Reuse',
          env: { ...shifted, NODE_OPTIONS: `--import ${SHIFTED_CLOCK}` },
        })
        await scene.worker({ slots: 4, isolation: 'Reuse' })
        const workingFromMs = Date.now()
        await scene.idle()
        const starts = scene.history.of('started')
        expect(starts).toHaveLength(20)
        for (const { job, atMs } of starts) {
          const trulyAtMs = Math.abs(atMs - noticedAtMs) > 300_000 ? atMs - shiftMs : atMs
          // In the time of Redis, which runs here.
          const enqueuedAtMs = (await scene.queue.job(job))?.enqueuedAtMs ?? 0
          expect(trulyAtMs - enqueuedAtMs).toBeGreaterThanOrEqual(4_000)
          expect(trulyAtMs - Math.max(enqueuedAtMs + 4_000, workingFromMs)).toBeLessThan(10_000)
        }
        await scene.judge({ faults: 0 })
      })(),
    60_000,
  )
})

describe('hostile input', () => {
  const payloads: [string, unknown][] = [
    ['constructor', { constructor: { prototype: { polluted: true } }, toString: 1 }],
    ['control characters', { text: 'a\r\nb\u001b[31mred\u0000\u2028' }],
    ['lone surrogates', { text: '\ud800' }],
    ['large integers', { n: 2 ** 53 + 2, text: '9223372036854775807' }],
    ['depth', JSON.parse(`${'['.repeat(1_000)}${']'.repeat(1_000)}`)],
    ['empty key', { '': [null, false, 0, ''] }],
  ]
  test.each(payloads)(
    'in a payload (%s) comes back unchanged and changes nothing else (F28)',
    (_name, payload) =>
      scene(async (scene) => {
        const worker = await scene.worker({
          isolation: 'Reuse',
          modules: [fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))],
        })
        const handle = await scene.jobs.enqueue('succeeds', payload)
        expect(await handle.result({ timeoutMs: 20_000 })).toMatchObject({
          input: JSON.parse(JSON.stringify(payload)),
        })
        expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
        for (const line of worker.lines) expect(typeof line.message).toBe('string')
      })(),
    30_000,
  )

  test.each(['../../x', 'a\nb', '\u001b[31m', 'x y', '', 'a'.repeat(200), '{x}'])(
    'as the name of a task or the id of a job is refused: %j (F28)',
    (name) => {
      expect(() => newJob(name, {})).toThrow(/invalid task name/)
      if (name !== '')
        expect(() => newJob('task', {}, { id: name })).toThrow(/^invalid id .*: use a text of 1 to 128 /)
      expect(isJobId(name)).toBe(false)
    },
  )

  test(
    'with a key __proto__ is refused by the child, once and for all (F28)',
    scene(async (scene) => {
      await scene.worker({ isolation: 'Reuse' })
      const handle = await scene.jobs.enqueue('naps', JSON.parse('{"__proto__": {"polluted": true}}'))
      await expect(handle.result({ timeoutMs: 20_000 })).rejects.toThrow('__proto__')
      expect(await handle.details()).toMatchObject({ state: 'buried', attempts: 1 })
    }),
    30_000,
  )

  test(
    'that reached Redis by another way ends buried with a reason, and no worker dies of it (F28)',
    scene(async (scene) => {
      const worker = await scene.worker({ isolation: 'Reuse' })
      await scene.settings({ maxAttempts: 1 })
      const write = async (id: string, envelope: string) => {
        await scene.redis.call('SET', `${prefixOf(scene.queue.name)}job:${id}`, envelope)
        await scene.redis.call('RPUSH', `${prefixOf(scene.queue.name)}ready:normal`, id)
        await scene.redis.call('ZADD', `${prefixOf(scene.queue.name)}lanes`, 0, 'normal')
      }
      await write('deep', `20 normal 1795366013184 naps\n${'['.repeat(100_000)}${']'.repeat(100_000)}`)
      await write('broken-json', '20 normal 1795366013184 naps\n{"a":')
      await write('strange-task', '20 normal 1795366013184 ../../etc/passwd\n{}')
      await write('no-envelope', 'hello')
      await scene.enqueue(1, 'naps')
      await eventually(
        async () => (await scene.queue.depth()).buried === 3 && (await scene.queue.depth()).busy === 0,
        { what: 'all have ended' },
      )
      for (const job of await scene.queue.jobs('buried'))
        expect((await scene.queue.job(job.id))?.failures[0]?.outcome).toBe('failed')
      expect(worker.child.exitCode).toBe(null)
    }),
    30_000,
  )
})
