// The number of a queue's layout in Redis: every queue with jobs has one, and no verb touches a queue whose number is higher than its own.
import { type Connection, connectRedis, LAYOUT, newJob, openQueue, prefixOf } from 'millhand/queue'
import { loadScripts, type Verb } from '../../../worker-runtime/src/queue/scripts.ts'
import { run } from '../../../worker-runtime/src/queue/verbs.ts'
import { redisUrl } from '../../redis.ts'

let redis: Connection
let tests = 0
let name: string
beforeAll(() => {
  redis = connectRedis(redisUrl())
})
afterAll(() => redis.close())
beforeEach(() => {
  tests += 1
  name = `layout.${process.pid}-${tests}`
})

const layoutOf = () => redis.call('HGET', `${prefixOf(name)}config`, 'layout')
const becomes = (layout: number) => redis.call('HSET', `${prefixOf(name)}config`, 'layout', layout)
/** Every key with its value, as Redis would write them down. */
const everything = async () => {
  const keys = ((await redis.call('KEYS', `${prefixOf(name)}*`)) as string[]).sort()
  return Promise.all(keys.map(async (key) => [key, String(await redis.call('DUMP', key))]))
}

const worker = {
  ...{ worker: 'p:1', process: 'p', pod: '', podUid: 'u', poolUid: '', node: '', slots: 1 },
  ...{ isolation: 'Spawn', isolationNote: '', version: '0' },
}

const scripts = loadScripts()
const others = [
  { layout: LAYOUT + 1, error: 'NEWLAYOUT' },
  { layout: LAYOUT - 1, error: 'OLDLAYOUT' },
]
const refusals = (Object.keys(scripts) as Verb[]).flatMap((verb) =>
  others.map((other) => ({ verb, ...other })),
)
test.each(refusals)('$verb refuses layout $layout and changes nothing', async ({ verb, layout, error }) => {
  const queue = openQueue(redis, name)
  await queue.enqueue([1, 2, 3].map((input) => newJob('task', input, { id: `job-${input}`, maxAttempts: 1 })))
  await queue.register(worker)
  const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 2 })
  const settlements = claims
    .slice(0, 1)
    .map((claim) => ({ ...claim, verdict: 'terminal' as const, text: '{}' }))
  await queue.settleAndClaim({ worker: 'p:1', settlements })
  await becomes(layout)
  const before = await everything()
  expect(before.length).toBeGreaterThan(5)
  const args: Partial<Record<Verb, (string | number)[]>> = {
    enqueue: ['job-4', '0normal - task', 'null', 0],
    renew: ['p:1', 0, 0, ''],
    save: ['p:1', 'job-1', '1', 'checkpoint', '1'],
    witness: [0, 0],
    watch: [30_000],
    events: ['0', 10],
    groups: [10, '', ''],
    mute: ['v1:0123456789abcdef', '1'],
    sample: ['ready 1'],
    history: [10, 1_000],
    register: ['p:2', 'u', 'pod', ''],
    exchange: ['p:1', 0, 1, 1, ''],
    unwait: ['id', 'client'],
    configure: ['me', 'maxLength', 1],
    reap: ['p:1', 'sure', 'counted', '{}', 1, 500],
    resync: ['p:1', 1],
    drain: [1_000, 'u'],
    find: [10, 'ready', ''],
    why: ['job-3'],
    follow: ['job-3'],
    output: ['job-3', '{}'],
    action: ['create', 'x', 'verb', 'retry'],
    act: ['x', 'me', '', '', 'ready '],
    actions: [10],
    pause: ['1'],
    'end-rest': ['key', 'a'],
    rests: [10],
    limit: ['a', 'b=1', 10],
    key: ['a'],
    cancel: ['job-3'],
    retry: ['job-1'],
    delete: ['job-1'],
    purge: ['ready', 'buried'],
    job: ['job-3'],
    workers: [10, 100, 64],
    schedules: ['page', '', '', 10],
    'set-schedule': ['s', '', '', ' ', 10, '', '+inf', 'spec', '{}'],
    due: [10],
    fire: ['s', 'v 1', 2, 2, ''],
    forward: [''],
    accept: ['default.a', '1-1', 'delete', 'job-3', '', ''],
    'flow-start': ['f', 'stop', 1_000, '', 'null', '', '', '', 0, ''],
    'flow-stage': ['f', 'stage', 'a', 'default.a', '0normal - task', 'null', 0, '', ''],
    flows: [10, 0, '', ''],
    'flow-add': ['f:a', 'b', 'default.a', '0normal - task', 'null', '', ''],
    'batch-add': ['b', 'job-4', '0normal - task', 'null'],
  }
  const answer = run(redis, scripts[verb], prefixOf(name), args[verb] ?? ['p:1'])
  await expect(answer).rejects.toThrow(`${error} ${layout}`)
  expect(await everything()).toEqual(before)
  // With the layout that it knows the same call is served.
  await becomes(LAYOUT)
  await redis.call('HSET', `${prefixOf(name)}flow:b`, 'state', 'running', 'batch', 'open', 'jobs', 0)
  await run(redis, scripts[verb], prefixOf(name), args[verb] ?? ['p:1'])
})

test('the refusal is typed, and says both numbers and what to do', async () => {
  await becomes(LAYOUT + 1)
  await expect(openQueue(redis, name).depth()).rejects.toMatchObject({
    name: 'QueueRefused',
    code: 'NEWER_LAYOUT',
    message: `queue ${name} was written by a newer Millhand (its layout is ${LAYOUT + 1}, this program knows ${LAYOUT}): upgrade this program`,
  })
})

test('a queue that nobody declared has the layout of its first job', async () => {
  const queue = openQueue(redis, name)
  await queue.register(worker)
  await queue.depth()
  expect(await layoutOf()).toBeNull()
  await queue.enqueue([newJob('task', 1)])
  expect(await layoutOf()).toBe(String(LAYOUT))
})
