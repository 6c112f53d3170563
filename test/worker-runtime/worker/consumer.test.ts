import { prefixOf } from '../../../worker-runtime/src/queue/keys.ts'
import { eventually } from '../../eventually.ts'
import { Scene } from '../../faults/scene.ts'
import { givenWorker } from './given-worker.ts'

test('an attempt that Redis refuses to settle is logged with its job, and counted', async () => {
  const scene = new Scene()
  const worker = await givenWorker({ places: [{ url: scene.access.url, queue: scene.jobs.name }], slots: 1 })
  try {
    const [handle] = await scene.enqueue(1, 'naps', { ms: 500 })
    await scene.started(String(handle?.id))
    // As after a failover to a replica that lagged: Redis knows nothing of the claim.
    const held = `${prefixOf(scene.queue.name)}held:${worker.consumers[0]?.name}`
    expect(await scene.redis.call('HDEL', held, String(handle?.id))).toBe(1)
    const refused = 'Redis refused to settle an attempt'
    const told = await eventually(() => worker.lines.find(({ message }) => message === refused), {
      what: 'it is told',
      withinMs: 30_000,
    })
    expect(told).toMatchObject({
      level: 'warn',
      queue: scene.queue.name,
      job: handle?.id,
      attempt: 1,
      verdict: 'completed',
      refusal: 'not-yours',
      why: expect.stringContaining('Redis went back to an earlier state'),
    })
    expect(worker.refused).toEqual([scene.queue.name])
  } finally {
    await worker.stop()
    await scene.end()
  }
}, 60_000)
