// Error groups: failures of one kind are counted together, and buried jobs are found by them.
import { type Connection, defaultSettings, newJob, prefixOf, type Queue } from 'millhand/queue'
import { ownQueues } from './own-queues.ts'

const group = (n: number) => `v1:${n.toString(16).padStart(16, '0')}`
const recordOf = (n: number, error: object = { name: 'TypeError', message: 'no such user' }) =>
  JSON.stringify({ outcome: 'failed', group: group(n), error })

let redis: Connection
let queue: Queue
ownQueues('errors', { slots: 1, isolation: 'Spawn', version: '1.2.3' }, (itsQueue, connection) => {
  queue = itsQueue
  redis = connection
})

const fail = async (id: string, text: string, verdict: 'failed' | 'terminal' = 'terminal', task = 'task') => {
  await queue.enqueue([newJob(task, null, { id })])
  const [claim] = (await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })).claims
  await queue.settleAndClaim({
    worker: 'p:1',
    settlements: [{ id, token: claim?.token ?? '', verdict, text }],
  })
}

test('a group has the first message, the counts, the tasks, and its buried jobs', async () => {
  const startedMs = Date.now() - 1_000
  await fail('a', recordOf(1))
  await fail('b', recordOf(1, { name: 'TypeError', message: 'another text' }))
  await fail('c', recordOf(1), 'failed', 'other')
  await fail('d', recordOf(2, { name: 'Error', message: 'x'.repeat(4_000) }))
  const { groups, total } = await queue.errors.list()
  expect(total).toBe(2)
  expect(groups.map((each) => each.group)).toEqual([group(2), group(1)])
  const [long, first] = groups
  expect(long?.message).toBe('x'.repeat(1_000))
  expect(first).toEqual({
    ...{ group: group(1), outcome: 'failed', type: 'TypeError', message: 'no such user', version: '1.2.3' },
    ...{ count: 3, tasks: { task: 2, other: 1 }, isMuted: false, buried: 2 },
    ...{ firstMs: expect.any(Number), lastMs: expect.any(Number) },
  })
  expect(first?.firstMs).toBeGreaterThan(startedMs)
  expect(first?.lastMs).toBeGreaterThanOrEqual(first?.firstMs ?? Number.NaN)
  expect((await queue.errors.get(group(1)))?.jobs).toEqual(['b', 'a'])
  expect((await queue.errors.get(group(1), { offset: 1, limit: 1 }))?.jobs).toEqual(['a'])
  expect(await queue.errors.get(group(9))).toBeUndefined()
  expect((await queue.job('c'))?.failures).toMatchObject([{ outcome: 'failed', group: group(1) }])
})

test('pages of groups go on behind the last one, also where groups are seen again between them', async () => {
  for (let n = 1; n <= 9; n += 1) await fail(`j${n}`, recordOf(n))
  const first = await queue.errors.list({ limit: 3 })
  expect(first.groups.map((each) => each.group)).toEqual([9, 8, 7].map(group))
  await fail('again', recordOf(9))
  const second = await queue.errors.list({ limit: 3, cursor: first.cursor ?? '' })
  expect(second.groups.map((each) => each.group)).toEqual([6, 5, 4].map(group))
  await fail('last', recordOf(4))
  const third = await queue.errors.list({ limit: 4, cursor: second.cursor ?? '' })
  expect(third.groups.map((each) => each.group)).toEqual([3, 2, 1].map(group))
  expect(third.cursor).toBeUndefined()
  await expect(queue.errors.list({ cursor: '3' })).rejects.toThrow(/cursor/)
})

test('a buried job leaves its group when it is retried, deleted, purged, or dropped', async () => {
  await queue.configure({ ...defaultSettings, buriedMaxCount: 4 })
  for (const id of ['a', 'b', 'c', 'd', 'e']) await fail(id, recordOf(1))
  const listed = async () => (await queue.errors.get(group(1)))?.jobs
  expect(await listed()).toEqual(['e', 'd', 'c', 'b'])
  await queue.retry(['b'])
  await queue.delete(['c'])
  expect(await listed()).toEqual(['e', 'd'])
  await queue.purge(['buried'])
  expect(await listed()).toEqual([])
  expect(await queue.errors.get(group(1))).toMatchObject({ count: 5, buried: 0 })
})

test('the death of a worker is a group too', async () => {
  await queue.enqueue([newJob('task', null, { id: 'a' })])
  await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })
  await queue.reap({ worker: 'p:1', evidence: 'sure', reason: 'its pod was killed' })
  const [found] = (await queue.errors.list()).groups
  expect(found).toMatchObject({ outcome: 'worker-lost', type: '', message: 'its pod was killed', count: 1 })
})

test('a muted group is counted as before', async () => {
  await fail('a', recordOf(1))
  expect(await queue.errors.mute(group(1))).toBe(true)
  await fail('b', recordOf(1))
  expect(await queue.errors.get(group(1))).toMatchObject({ isMuted: true, count: 2 })
  expect(await queue.errors.unmute(group(1))).toBe(true)
  expect(await queue.errors.get(group(1))).toMatchObject({ isMuted: false })
  expect(await queue.errors.mute(group(9))).toBe(false)
})

test('at most 1,000 groups: those that were not seen for longest go', async () => {
  for (let n = 1; n <= 1_003; n += 1) await fail(`j${n}`, recordOf(n))
  const { groups, total } = await queue.errors.list({ limit: 1_000 })
  expect(total).toBe(1_000)
  expect(groups.map((each) => each.group)).not.toContain(group(3))
  expect(groups.map((each) => each.group)).toContain(group(4))
  // Their jobs stay buried, in no group.
  expect((await queue.depth()).buried).toBe(1_003)
  await queue.retry(['j1', 'j2', 'j3'])
}, 30_000)

test('tasks beyond some forty are counted together', async () => {
  for (let n = 0; n < 60; n += 1) await fail(`j${n}`, recordOf(1), 'terminal', `task-${n}`)
  const found = await queue.errors.get(group(1))
  const counts = Object.values(found?.tasks ?? {})
  expect(counts.length).toBeLessThanOrEqual(50)
  expect(counts.reduce((sum, each) => sum + each, 0)).toBe(60)
})

test.each([
  'no JSON',
  '{"outcome":"failed","group":"v1:XXXX","error":{}}',
  '{"outcome":"failed","group":"v1:0123456789abcdef0","error":{}}',
  '{"outcome":"failed","error":{"message":"\\"group\\":\\"v1:0123456789abcdef\\""}}',
])('a record without a group is counted in none: %s', async (text) => {
  await fail('a', text)
  expect((await queue.errors.list()).total).toBe(0)
  expect((await queue.depth()).buried).toBe(1)
})

test.each(['[]', '7', '{"error":7}', '{"error":{"name":[],"message":{}}}'])(
  'a record of another shape is counted: %s',
  async (rest) => {
    await fail('a', `{"outcome":"failed","group":"${group(1)}",${rest.replace(/^\{/, '') || '}'}`)
    const [found] = (await queue.errors.list()).groups
    expect(found).toMatchObject({ group: group(1), type: '', message: '', count: 1 })
  },
)

test('what is no group is refused, whatever it would name', async () => {
  for (const name of ['', 'a', `${group(1)}x`, '*', 'v1:000000000000000}'])
    await expect(queue.errors.get(name)).rejects.toThrow(/invalid error group/)
  await redis.call('ZADD', `${prefixOf(queue.name)}errors`, 1, '\u001b[31mred')
  await expect(queue.errors.list()).rejects.toThrow(/another program/)
  await redis.call('DEL', `${prefixOf(queue.name)}errors`)
})
