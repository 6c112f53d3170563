// job.enqueue: what a task enqueues comes with its success, once and whole, whatever dies; or at once.
import fc from 'fast-check'
import { openQueue, queueName } from 'millhand/queue'
import { census } from '../census.ts'
import { eventually } from '../eventually.ts'
import { isAlive, sendSignal } from '../processes.ts'
import { type Isolation, type Scene, scene as sceneOf } from './scene.ts'

const seed = Number(process.env.MILLHAND_FOLLOW_UPS_SEED ?? Date.now() % 2 ** 31)
const ids = (handles: readonly { id: string }[]) => handles.map(({ id }) => id)

describe.each<Isolation>(['Fork', 'Reuse'])('with %s', (isolation) => {
  const scene = (play: (scene: Scene) => Promise<void>) => sceneOf(play, undefined, isolation)
  const idleToo = async (scene: Scene, name: string) => {
    const other = openQueue(scene.redis, queueName(scene.namespace, name))
    await scene.idle(120_000)
    await eventually(
      async () => {
        const { ready, delayed, busy } = await other.depth()
        const outbox = await scene.redis.call('EXISTS', `mh:{${scene.queue.name}}:outbox`)
        return ready + delayed + busy + Number(outbox) === 0
      },
      { what: 'the other queue is empty too', withinMs: 120_000, everyMs: 50 },
    )
    expect((await census(scene.redis, other.name)).problems).toEqual([])
    return other
  }

  test(
    `every follow-up comes once, and none of an attempt that failed or died (seed ${seed})`,
    scene(async (scene) => {
      await scene.settings({ maxAttempts: 1_000, maxCrashes: 1_000 })
      const queues = ['jobs', 'other']
      const JOBS = 6
      const PER_JOB = 5
      let worker = await scene.worker({ queues, slots: 3 })
      const handles = await scene.enqueue(JOBS, 'fans-out', { jobs: PER_JOB, other: 'other', ms: 60 })
      const naps = () => scene.history.of('ended').filter(({ job }) => job.includes(':'))
      const faults = fc.sample(fc.constantFrom('child', 'child', 'worker'), { seed, numRuns: 6 })
      for (const fault of faults) {
        const before = scene.history.of('started').length
        const isOver = () => naps().length === JOBS * (2 * PER_JOB + 1)
        await eventually(() => scene.history.of('started').length > before || isOver(), {
          what: 'another start',
          withinMs: 60_000,
        })
        if (isOver()) break
        scene.fault(fault)
        if (fault === 'worker') {
          worker.kill('SIGKILL')
          worker = await scene.worker({ queues, slots: 3 })
        } else {
          const pid = scene.history.of('started').findLast((each) => isAlive(each.pid ?? 0))?.pid
          if (pid !== undefined) sendSignal(pid, 'SIGKILL')
        }
      }
      await idleToo(scene, 'other')
      const expected = ids(handles).flatMap((id) => [
        `${id}:own:last`,
        ...Array.from({ length: PER_JOB }, (_, n) => [`${id}:own:${n}`, `${id}:other:${n}`]).flat(),
      ])
      expect([...new Set(naps().map(({ job }) => job))].sort()).toEqual(expected.sort())
      // A follow-up never begins before the attempt that enqueued it has ended well.
      const endedAt = new Map(scene.history.of('ended').map(({ job, atMs }) => [job, atMs]))
      for (const { job, atMs } of scene.history.of('started').filter((each) => each.job.includes(':')))
        expect(atMs).toBeGreaterThanOrEqual(endedAt.get(job.split(':')[0] ?? '') ?? Number.POSITIVE_INFINITY)
      const { counts } = await scene.queue.depth()
      expect(counts.enqueued).toBe(JOBS + JOBS * (PER_JOB + 1))
    }),
    240_000,
  )

  test(
    'a job that is buried leaves nothing but what it enqueued at once',
    scene(async (scene) => {
      await scene.worker({ queues: ['jobs', 'other'] })
      const input = { history: scene.history.file }
      const [handle] = await scene.enqueue(1, 'enqueues-what', {
        fails: true,
        calls: [
          ['jobs', 'naps', input, { id: 'with-success' }],
          ['other', 'naps', input, { id: 'at-once', now: true }],
          ['jobs', 'naps', input, { id: 'at-once-here', now: true }],
        ],
      })
      await expect(handle?.result({ timeoutMs: 60_000 })).rejects.toThrow('after all')
      await idleToo(scene, 'other')
      expect(
        scene.history
          .of('ended')
          .map(({ job }) => job)
          .sort(),
      ).toEqual(['at-once', 'at-once-here'])
      expect(await scene.jobs.job('with-success').state()).toBe('unknown')
    }),
    90_000,
  )

  test(
    'options, headers and errors are those of an enqueue',
    scene(async (scene) => {
      await scene.settings({ maxPayloadBytes: 5_000 })
      await scene.worker()
      const at = new Date(Date.now() + 3_600_000)
      const job = await scene.jobs.enqueue(
        'enqueues-what',
        {
          calls: [
            ['jobs', 'naps', null, { id: 'later', at, priority: 'low', key: 'acme', tags: ['a'] }],
            ['jobs', 'naps', null, { id: 'others', delayMs: 3_600_000, headers: { trace: '2' } }],
            ['jobs', 'no name'],
            ['No Queue', 'naps'],
            ['jobs', 'naps', null, { colour: 'red' }],
            ['jobs', 'naps', null, { unique: { key: 'a' } }],
            ['jobs', 'naps', null, { at: 'never' }],
            ['jobs', 'naps', null, { now: 'yes' }],
            ['jobs', 'naps', { bytes: 5_000 }, { now: true }],
          ],
        },
        { headers: { trace: '1' } },
      )
      expect(await job.result({ timeoutMs: 60_000 })).toEqual([
        'later',
        'others',
        ['TypeError', expect.stringContaining('invalid task name "no name"')],
        ['TypeError', expect.stringContaining('invalid queue name "No Queue"')],
        ['TypeError', expect.stringContaining('unknown option of a job "colour"')],
        ['TypeError', expect.stringContaining('unknown option of a job "unique"')],
        ['TypeError', expect.stringContaining('invalid at an invalid Date')],
        ['TypeError', expect.stringContaining('invalid now "yes": use true or false')],
        ['PAYLOAD_TOO_LARGE', expect.any(String)],
      ])
      const later = await scene.jobs.job('later').details()
      expect(later?.envelope).toMatchObject({
        lane: 'low/acme',
        tags: ['a'],
        dueAtMs: at.getTime(),
        headers: { trace: '1' },
        payload: 'null',
      })
      expect((await scene.jobs.job('others').details())?.envelope?.headers).toEqual({ trace: '2' })
      for (const id of ['later', 'others']) await scene.jobs.job(id).cancel()
    }),
    90_000,
  )

  test(
    'are bounded',
    scene(async (scene) => {
      await scene.worker()
      const many = await scene.enqueue(1, 'enqueues-what', {
        fails: true,
        calls: Array.from({ length: 1_001 }, () => ['jobs', 'naps']),
      })
      const large = await scene.jobs.enqueue('enqueues-what', {
        calls: [
          ['jobs', 'naps', { bytes: 600_000 }, { id: 'one', delayMs: 3_600_000 }],
          ['jobs', 'naps', { bytes: 600_000 }],
          ['jobs', 'naps', { bytes: 1_048_600 }],
        ],
      })
      await expect(many[0]?.result({ timeoutMs: 60_000 })).rejects.toThrow('after all')
      expect(await large.result({ timeoutMs: 60_000 })).toEqual([
        'one',
        ['TOO_MANY_FOLLOW_UPS', expect.stringContaining('1000 jobs of 1048576 bytes')],
        ['RangeError', expect.stringContaining('a task may send 1048576')],
      ])
      await scene.jobs.job('one').cancel()
    }),
    90_000,
  )
})
