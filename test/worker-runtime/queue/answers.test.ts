// What a queue's numbers and workers may be. Somebody else may write to the keys, and something else may answer: what cannot be right is
// told as such, whatever field it is in, and never becomes a number, a long text or a list without end.
import { type Connection, connectRedis, newJob, openQueue, prefixOf, type Queue } from 'millhand/queue'
import { RedisDataInvalid } from '../../../worker-runtime/src/queue/answers.ts'
import { COUNT_FIELDS, depthOf, MOST_WORKERS, workersOf } from '../../../worker-runtime/src/queue/reads.ts'
import { redisUrl } from '../../redis.ts'

let redis: Connection
let queue: Queue
let tests = 0
const key = (name: string) => `${prefixOf(queue.name)}${name}`
beforeAll(() => {
  redis = connectRedis(redisUrl())
})
afterAll(() => redis.close())
beforeEach(() => {
  tests += 1
  queue = openQueue(redis, `answers.${process.pid}-${tests}`)
})
afterEach(async () => {
  const keys = (await redis.call('KEYS', key('*'))) as string[]
  if (keys.length > 0) await redis.call('UNLINK', ...keys)
})

const entry = { process: 'p', pod: 'a', podUid: 'u', poolUid: 'x', node: 'n', version: '1' }
const register = (worker: string, more: object = {}) =>
  queue.register({
    worker,
    ...entry,
    podUid: worker,
    slots: 2,
    isolation: 'Fork',
    isolationNote: '',
    ...more,
  })

test.each(
  [
    ...COUNT_FIELDS.flatMap((field) =>
      ['x', '-5', '', 'NaN', 'Infinity', '1e3', '1.5'].map((value) => [field, value]),
    ),
    ...COUNT_FIELDS.map((field) => [field, '9'.repeat(400)]),
    ['busy', '9007199254740991'],
  ].filter(([field, value]) => field !== 'blocked' || value !== '-5'),
)('counts.%s of %j is an error that names it', async (field, value) => {
  await queue.enqueue([newJob('task', 1)])
  expect(await queue.depth()).toMatchObject({ ready: 1, busy: 0, counts: { enqueued: 1, buried: 0 } })
  await redis.call('HSET', key('counts'), field, value)
  const error = await queue.depth().catch((thrown) => thrown)
  expect(error).toBeInstanceOf(RedisDataInvalid)
  expect(error).toMatchObject({ field: `counts.${field}` })
  expect(error.message.length).toBeLessThan(300)
})

test('blocked jobs below zero are none: lanes were changed by hand, and no worker lives that would put it right', async () => {
  await redis.call('HSET', key('counts'), 'blocked', '-5')
  expect(await queue.depth()).toMatchObject({ blocked: 0 })
})

test('counters grow for as long as the queue lives, and foreign counts are not even read', async () => {
  await redis.call('HSET', key('counts'), 'enqueued', 2 ** 40, 'another', 'x'.repeat(10_000))
  expect((await queue.depth()).counts).toMatchObject({ enqueued: 2 ** 40 })
  expect((await queue.depth()).counts).not.toHaveProperty('another')
})

const fine = {
  ...{ ready: 1, due: 0, delayed: 0, buried: 0, nextMs: 1, oldestMs: 1, maxBusy: 1 },
  counts: COUNT_FIELDS.map(() => null),
}
const flat = (fields: object) => Object.entries(fields).flat()
test.each<[string, unknown]>([
  ['nothing', null],
  ['OK', 'OK'],
  ['an empty list', []],
  ['an error', new Error('ERR no')],
  ['texts', Array(20).fill('x')],
  ['no counts', flat({ ...fine, counts: [] }).slice(0, -2)],
  ...['ready', 'due', 'delayed', 'buried', 'nextMs', 'oldestMs', 'maxBusy'].flatMap((name) =>
    [null, 'x', [], Number.NaN, Number.POSITIVE_INFINITY, 0.5, 2 ** 60, true].map(
      (value): [string, unknown] => [`${value} for ${name}`, flat({ ...fine, [name]: value })],
    ),
  ),
  ['a job older than computers', flat({ ...fine, oldestMs: 2 ** 45 })],
])('as the depth of a queue %s is refused', (_what, answer) => {
  expect(depthOf(flat(fine))).toMatchObject({ ready: 1, busy: 0, nextMs: 1, oldestReadyMs: 1, maxBusy: 1 })
  expect(() => depthOf(answer)).toThrow(RedisDataInvalid)
})

const worker = { name: 'w', alive: 1, held: 0, draining: 0, podUid: 'u' }
const page = (fields: object) => [1, [flat({ ...worker, ...fields })], []]
test.each<[string, unknown]>([
  ['nothing', null],
  ['OK', 'OK'],
  ['an empty list', []],
  ['more than there may be', [MOST_WORKERS + 1, [], []]],
  ['a page without end', [1, Array(4_000).fill(flat(worker)), []]],
  ['names without end', [1, [], Array(MOST_WORKERS + 1).fill('x')]],
  ['a name that is a number', [1, [], [7]]],
  ['a worker that is a text', [1, ['w'], []]],
  ['a long name', page({ name: 'x'.repeat(300) })],
  ['a long text', page({ isolation: 'x'.repeat(300) })],
  ['a text that is a list', page({ isolation: ['Fork'] })],
  ['many fields', [1, [Array(200).fill('x')], []]],
  ['less than nothing held', page({ held: -1 })],
  ['slots that are no number', page({ slots: 'NaN' })],
])('as the workers of a queue %s is refused', (_what, answer) => {
  expect(workersOf(page({})).workers).toMatchObject([{ name: 'w', podUid: 'u', slots: 0, held: 0 }])
  expect(() => workersOf(answer)).toThrow(RedisDataInvalid)
})

test('all workers are found, page by page, each once', async () => {
  const args: (string | number)[] = []
  for (let i = 0; i < 1_234; i++) {
    args.push(Date.now() + 60_000 + i, `w:${i}`)
    await redis.call('HSET', key(`worker:w:${i}`), ...Object.entries({ ...entry, podUid: `u${i}` }).flat())
  }
  await redis.call('ZADD', key('workers'), ...args)
  await redis.call('HSET', key('held:w:1233'), 'job', '1:1:0')
  await queue.drain(['u777'], 60_000)
  const workers = await queue.workers()
  expect(workers.length).toBe(1_234)
  expect(new Set(workers.map(({ name }) => name)).size).toBe(1_234)
  expect(workers.filter(({ draining }) => draining).map(({ podUid }) => podUid)).toEqual(['u777'])
  expect(workers.filter(({ held }) => held > 0).map(({ name }) => name)).toEqual(['w:1233'])
}, 60_000)

test('too many workers are not read at all', async () => {
  for (let i = 0; i <= MOST_WORKERS; i += 1_000)
    await redis.call(
      'ZADD',
      key('workers'),
      ...Array.from({ length: 1_000 }, (_, at) => [1, `w${i + at}`]).flat(),
    )
  await expect(queue.workers()).rejects.toThrow(/number of workers of a queue is 11000/)
})

test('what a worker says of itself is as long as anybody reads, whoever wrote it', async () => {
  await register('long:1', { isolationNote: 'ä'.repeat(10_000) })
  expect(await redis.call('HSTRLEN', key('worker:long:1'), 'isolationNote')).toBe(512)
  await redis.call(
    'HSET',
    key('worker:long:1'),
    'isolation',
    'x'.repeat(1_000_000),
    'pod',
    'y'.repeat(1_000_000),
  )
  const [found] = await queue.workers()
  expect(found?.isolation).toBe('x'.repeat(256))
  expect(found?.pod.length).toBe(256)
  expect(found?.isolationNote?.length).toBeLessThanOrEqual(256)
})
