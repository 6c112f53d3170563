import { redisUrl } from '../redis.ts'
import {
  millhand,
  ownNamespace,
  PATIENCE_MS,
  type Running,
  startMillhand,
  stopAtOnce,
  TINY_TASKS,
} from './millhand.ts'

const env = { MILLHAND_REDIS_URL: redisUrl(), MILLHAND_NAMESPACE: ownNamespace() }
const enqueue = (...args: string[]) => millhand(['enqueue', ...args], { env })
let worker: Running

beforeAll(async () => {
  worker = startMillhand(['worker', TINY_TASKS, '--queue', 'work', '--slots', '2', '--isolation', 'Reuse'], {
    env,
  })
  await worker.says(/worker ready/)
}, PATIENCE_MS)
afterAll(async () => {
  await stopAtOnce(worker)
}, PATIENCE_MS)

test('a job is enqueued, and its id said', async () => {
  const { code, stdout } = await enqueue('waiting', 'send')
  expect(code).toBe(0)
  const [, id = ''] = /^job (\S+) enqueued in /.exec(stdout) ?? []
  const job = JSON.parse((await millhand(['job', 'waiting', id, '--json'], { env })).stdout)
  expect(job).toMatchObject({ state: 'ready', task: 'send', input: null, priority: 'normal' })
})

test('a job carries its options', async () => {
  const options = [
    '--id',
    'mine',
    '--priority',
    'urgent',
    '--delay',
    '10m',
    '--max-attempts',
    '7',
    '--timeout',
    '30s',
    '--json',
  ]
  const enqueued = await enqueue('waiting', 'send', '{"to":"ann"}', ...options)
  expect(JSON.parse(enqueued.stdout)).toEqual({
    id: 'mine',
    queue: `${env.MILLHAND_NAMESPACE}.waiting`,
    enqueued: 'created',
  })
  const job = JSON.parse((await millhand(['job', 'waiting', 'mine', '--json'], { env })).stdout)
  expect(job).toMatchObject({ state: 'delayed', input: { to: 'ann' }, priority: 'urgent', timeoutMs: 30_000 })
  expect(job.dueAtMs - job.enqueuedAtMs).toBe(600_000)
})

test('a job with a unique key is said where another one with it is enqueued', async () => {
  const unique = (...args: string[]) => enqueue('waiting', 'send', '1', '--unique', 'acme', ...args)
  const { id } = JSON.parse((await unique('--delay', '10m', '--json')).stdout)
  expect(await unique()).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(`^job ${id} of \\S+ has the unique key: nothing was enqueued\n$`),
  })
  expect(await unique('--fail-if-known')).toMatchObject({ code: 1 })
  const replaced = await unique('--on-duplicate', 'replace', '--delay', '20m', '--fail-if-known')
  expect(replaced).toMatchObject({ code: 0, stdout: expect.stringContaining('has the new input now') })
  const job = JSON.parse((await millhand(['job', 'waiting', id, '--json'], { env })).stdout)
  expect(job).toMatchObject({ state: 'delayed', uniqueKey: 'acme' })
  expect(job.dueAtMs - job.enqueuedAtMs).toBeGreaterThan(1_100_000)
  const timed = JSON.parse((await unique('--unique-while', '10m', '--json', '--id', 'timed')).stdout)
  expect(timed).toMatchObject({ id, enqueued: 'duplicate' })
  const alone = await enqueue('waiting', 'send', '1', '--on-duplicate', 'keep')
  expect(alone).toMatchObject({ code: 2, stderr: expect.stringContaining('go with --unique') })
})

test('a known id is not enqueued again, and its state is said', async () => {
  await enqueue('waiting', 'send', '--id', 'once')
  const again = await enqueue('waiting', 'send', '--id', 'once')
  expect(again).toMatchObject({ code: 0, stdout: expect.stringContaining('job once is already known') })
  expect(again.stdout).toContain('it is ready')
})

test(
  'a result that is waited for is that of the first input, which is said; --fail-if-known fails; delete frees the id',
  async () => {
    const known = (...args: string[]) => enqueue('work', 'succeeds', '{"x":2}', '--id', 'done', ...args)
    await enqueue('work', 'succeeds', '{"x":1}', '--id', 'done', '--wait=30s')
    const { code, stdout, stderr } = await known('--wait=30s', '--json')
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({
      code: 0,
      enqueued: 'completed',
      result: { input: { x: 1 } },
    })
    expect(stderr).toMatch(
      /^note: job done is already known in \S+: it is completed; nothing was enqueued.*\n$/,
    )
    expect(await known('--fail-if-known', '--wait=30s')).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('job done is already known in'),
    })
    expect((await millhand(['delete', 'work', 'done'], { env })).code).toBe(0)
    expect(JSON.parse((await known('--fail-if-known', '--wait=30s')).stdout)).toMatchObject({
      input: { x: 2 },
    })
  },
  PATIENCE_MS,
)

test(
  'a queue that nobody declares or serves is enqueued into, and the nearest name is asked for',
  async () => {
    const { code, stdout, stderr } = await enqueue('wrok', 'send', '--json')
    expect({ code, enqueued: JSON.parse(stdout).enqueued }).toEqual({ code: 0, enqueued: 'created' })
    expect(stderr).toBe(
      `note: no TaskQueue declares ${env.MILLHAND_NAMESPACE}.wrok, and no worker serves it now; did you mean work?\n`,
    )
    expect((await enqueue('work', 'noop')).stderr).toBe('')
  },
  PATIENCE_MS,
)

test('the input may come from standard input', async () => {
  const { stdout } = await millhand(['enqueue', 'work', 'succeeds', '-', '--wait=30s'], {
    env,
    input: '{"a":\n[1,2]}',
  })
  expect(JSON.parse(stdout).input).toEqual({ a: [1, 2] })
})

test('whoever waits gets the result as JSON', async () => {
  const { code, stdout } = await enqueue('work', 'succeeds', '{"file":"cat.png"}', '--wait')
  expect(code).toBe(0)
  expect(JSON.parse(stdout)).toMatchObject({ input: { file: 'cat.png' }, attempt: 1 })
})

test('whoever waits for a job that fails for good gets its true reason', async () => {
  const { code, stdout, stderr } = await enqueue(
    'work',
    'throws',
    '{"message":"the \\u001b[31mdisk is full"}',
    '--max-attempts',
    '1',
    '--wait=30s',
  )
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(
    /^millhand: job \S+ is buried .*TypeError: the \\x1b\[31mdisk is full \(E_TINY\); caused by: Error: the root of it\n$/,
  )
})

test('whoever waits too shortly is told where the job is, and why it failed until then', async () => {
  const { code, stderr } = await enqueue(
    'work',
    'throws',
    '{"message":"no luck"}',
    '--max-attempts=50',
    '--wait=2s',
  )
  expect(code).toBe(1)
  expect(stderr).toMatch(
    /^millhand: job \S+ has not ended within 2s; it is \w+; its last attempt failed: TypeError: no luck \(E_TINY\); caused by: Error: the root of it\n$/,
  )
})

test(
  'what cannot be enqueued is refused with the reason, and nothing is printed',
  async () => {
    const refusals = {
      'the input is not valid JSON at line 1, column 2': ['work', 'send', '{to:1}'],
      'invalid task name "a b"': ['work', 'a b'],
      'invalid id "$!": use a text of 1 to 128': ['work', 'send', '--id', '$!'],
      'A duration is like 500ms': ['work', 'send', '--delay', '10'],
      'Allowed choices are urgent, high, normal, low': ['work', 'send', '--priority', 'asap'],
      'a whole number of at least 1': ['work', 'send', '--max-attempts', '0'],
    }
    const ran = await Promise.all(Object.values(refusals).map((args) => enqueue(...args)))
    for (const [index, reason] of Object.keys(refusals).entries()) {
      expect(ran[index]).toMatchObject({ stdout: '', stderr: expect.stringContaining(reason) })
      expect(ran[index]?.code).toBeGreaterThan(0)
    }
  },
  PATIENCE_MS,
)
