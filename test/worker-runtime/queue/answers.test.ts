// What a queue's numbers and workers may be. Somebody else may write to the keys, and something else may answer: what cannot be right is
// told as such, whatever field it is in, and never becomes a number, a long text or a list without end.
import { type Connection, connectRedis, newJob, openQueue, prefixOf, type Queue } from 'millhand/queue'
import { RedisDataInvalid } from '../../../worker-runtime/src/queue/answers.ts'
import { COUNT_FIELDS, depthOf, MOST_WORKERS, workersOf } from '../../../worker-runtime/src/queue/depth.ts'
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

test.each([
  ...COUNT_FIELDS.flatMap((field) =>
    ['x', '-5', '', 'NaN', 'Infinity', '1e3', '1.5'].map((value) => [field, value]),
  ),
  ...COUNT_FIELDS.map((field) => [field, '9'.repeat(400)]),
  ['busy', '9007199254740991'],
])('counts.%s of %j is an error that names it', async (field, value) => {
  await queue.enqueue([newJob('task', 1)])
  expect(await queue.depth()).toMatchObject({ ready: 1, busy: 0, counts: { enqueued: 1, buried: 0 } })
  await redis.call('HSET', key('counts'), field, value)
  const error = await queue.depth().catch((thrown) => thrown)
  expect(error).toBeInstanceOf(RedisDataInvalid)
  expect(error).toMatchObject({ field: `counts.${field}` })
  expect(error.message.length).toBeLessThan(300)
})

test('counters grow for as long as the queue lives, and foreign counts are not even read', async () => {
  await redis.call('HSET', key('counts'), 'enqueued', 2 ** 40, 'another', 'x'.repeat(10_000))
  expect((await queue.depth()).counts).toMatchObject({ enqueued: 2 ** 40 })
  expect((await queue.depth()).counts).not.toHaveProperty('another')
})

const fine = [1, 0, 0, 0, -1, -1, 0, 0, -1, COUNT_FIELDS.map(() => null)]
test.each<[string, unknown]>([
  ['nothing', null],
  ['OK', 'OK'],
  ['an empty list', []],
  ['an error', new Error('ERR no')],
  ['texts', fine.map(() => 'x')],
  ['no counts', fine.slice(0, 9)],
  ...[0, 1, 2, 3, 4, 5, 8].flatMap((at) =>
    [null, 'x', [], Number.NaN, Number.POSITIVE_INFINITY, 0.5, 2 ** 60, true].map(
      (value): [string, unknown] => [`${value} at ${at}`, fine.map((was, i) => (i === at ? value : was))],
    ),
  ),
  ['a job older than computers', [1, 0, 0, 0, -1, 2 ** 45, 0, 0, -1, fine[9]]],
])('as the depth of a queue %s is refused', (_what, answer) => {
  expect(depthOf(fine)).toMatchObject({ ready: 1, busy: 0 })
  expect(() => depthOf(answer)).toThrow(RedisDataInvalid)
})

const worker = ['w', 1, 0, ['draining', '0', 'podUid', 'u']]
test.each<[string, unknown]>([
  ['nothing', null],
  ['OK', 'OK'],
  ['an empty list', []],
  ['more than there may be', [MOST_WORKERS + 1, [], []]],
  ['a page without end', [1, Array(4_000).fill('x'), []]],
  ['names without end', [1, [], Array(MOST_WORKERS + 1).fill('x')]],
  ['a name that is a number', [1, [], [7]]],
  ['a long name', [1, ['x'.repeat(300), 1, 0, []], []]],
  ['a long text', [1, ['w', 1, 0, ['isolation', 'x'.repeat(300)]], []]],
  ['a text that is a list', [1, ['w', 1, 0, ['isolation', ['Fork']]], []]],
  ['many fields', [1, ['w', 1, 0, Array(60).fill('x')], []]],
  ['less than nothing held', [1, ['w', 1, -1, []], []]],
  ['slots that are no number', [1, ['w', 1, 0, ['slots', 'NaN']], []]],
])('as the workers of a queue %s is refused', (_what, answer) => {
  expect(workersOf([1, worker, []]).workers).toMatchObject([{ name: 'w', podUid: 'u', slots: 0, held: 0 }])
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
