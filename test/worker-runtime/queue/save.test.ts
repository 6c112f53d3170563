// What a job saves is fenced, bounded, and there as long as the job.
import { type Connection, defaultSettings, newJob, prefixOf, type Queue } from 'millhand/queue'
import { MAX_SAVED_BYTES } from '../../../worker-runtime/src/child/messages.ts'
import type { Holder } from '../../../worker-runtime/src/queue/save.ts'
import { ownQueues } from './own-queues.ts'

let queue: Queue
let redis: Connection
ownQueues('save', { slots: 1, isolation: 'Spawn', version: '0' }, (opened, connected) => {
  queue = opened
  redis = connected
})

const worker = 'p:1'
const claim = async (): Promise<Holder> => {
  const [claimed] = (await queue.settleAndClaim({ worker, wanted: 1 })).claims
  return { worker, id: claimed?.id ?? '', token: claimed?.token ?? '' }
}
const held = async () => {
  await queue.enqueue([newJob('task', null)])
  return claim()
}
const settle = ({ id, token }: Holder, verdict: 'completed' | 'failed' | 'terminal' | 'handed-back') =>
  queue.settleAndClaim({
    worker,
    settlements: [
      { id, token, verdict, text: verdict === 'completed' ? '1 task 1\nnull' : '{"outcome":"failed"}' },
    ],
  })
const attemptOf = ({ id }: Holder) => `${prefixOf(queue.name)}attempt:${id}`

test.each(['failed', 'handed-back'] as const)(
  'is there for the attempt after one that %s',
  async (verdict) => {
    await queue.configure({
      ...defaultSettings,
      ownerUid: 'test',
      backoffMs: 0,
    })
    const first = await held()
    expect(await queue.saved(first)).toEqual({ steps: new Map(), checkpoint: undefined })
    expect(await queue.saveStep(first, 'upload', '{"url":"ä"}')).toEqual({ kind: 'saved' })
    expect(await queue.saveCheckpoint(first, '1')).toEqual({ kind: 'saved' })
    expect(await queue.saveCheckpoint(first, '2')).toEqual({ kind: 'saved' })
    await settle(first, verdict)
    expect(await queue.saveCheckpoint(first, '3')).toEqual({ kind: 'not-held' })
    const second = await claim()
    const saved = { steps: new Map([['upload', '{"url":"ä"}']]), checkpoint: '2' }
    expect(await queue.saved(second)).toEqual(saved)
    await settle(second, 'terminal')
    expect(await queue.retry([first.id])).toEqual(['ready'])
    expect(await queue.saved(await claim())).toEqual(saved)
  },
)

test('goes with its job', async () => {
  const kept = await held()
  await queue.saveStep(kept, 'a', '1')
  await settle(kept, 'completed')
  expect(Number(await redis.call('PTTL', attemptOf(kept)))).toBeGreaterThan(0)
  const buried = await held()
  await queue.saveStep(buried, 'a', '1')
  await settle(buried, 'terminal')
  expect(await redis.call('PTTL', attemptOf(buried))).toBe(-1)
  await queue.delete([kept.id, buried.id])
  expect(await redis.call('EXISTS', attemptOf(kept), attemptOf(buried))).toBe(0)
})

test('is bounded: names, values and 100 bytes for each', async () => {
  const holder = await held()
  const largest = MAX_SAVED_BYTES - 'step:a'.length - 100
  expect(await queue.saveStep(holder, 'a', 'x'.repeat(largest + 1))).toEqual({
    kind: 'full',
    bytes: MAX_SAVED_BYTES + 1,
  })
  expect(await queue.saveStep(holder, 'a', 'x'.repeat(largest))).toEqual({ kind: 'saved' })
  expect(await queue.saveStep(holder, 'b', '1')).toMatchObject({ kind: 'full' })
  expect(await queue.saveCheckpoint(holder, '1')).toMatchObject({ kind: 'full' })
  expect((await queue.saved(holder))?.steps.get('a')).toHaveLength(largest)
})

test('a checkpoint in place of another one takes no more room than the new one', async () => {
  const holder = await held()
  const half = 'x'.repeat(MAX_SAVED_BYTES / 2 + 1)
  for (let time = 0; time < 3; time += 1)
    expect(await queue.saveCheckpoint(holder, half)).toEqual({ kind: 'saved' })
  expect(await queue.saveStep(holder, 'a', half)).toMatchObject({ kind: 'full' })
  await queue.saveCheckpoint(holder, '1')
  expect(await queue.saveStep(holder, 'a', half)).toEqual({ kind: 'saved' })
})

test('of which another program wrote too much is refused', async () => {
  const holder = await held()
  await queue.saveStep(holder, 'a', '1')
  await redis.call('HSET', attemptOf(holder), 'step:b', 'x'.repeat(2 ** 20))
  await expect(queue.saved(holder)).rejects.toThrow('what a job has saved')
})

test('is not saved for a job whose envelope is gone', async () => {
  const holder = await held()
  const key = `${prefixOf(queue.name)}job:${holder.id}`
  const envelope = String(await redis.call('GET', key))
  await redis.call('DEL', key)
  expect(await queue.saveStep(holder, 'a', '1')).toEqual({ kind: 'not-held' })
  expect(await redis.call('EXISTS', attemptOf(holder))).toBe(0)
  await redis.call('SET', key, envelope)
})
