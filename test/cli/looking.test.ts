// queues, jobs, job and workers: what people see of a queue that a real worker serves.

import { connectRedis, newJob, openQueue, queueName } from 'millhand/queue'
import { eventually } from '../eventually.ts'
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

const namespace = ownNamespace()
const env = { MILLHAND_REDIS_URL: redisUrl(), MILLHAND_NAMESPACE: namespace }
const run = async (...args: string[]) => (await millhand(args, { env })).stdout
const json = async (...args: string[]) => JSON.parse(await run(...args, '--json'))
let worker: Running

beforeAll(async () => {
  worker = startMillhand(['worker', TINY_TASKS, '--queue', 'seen', '--slots', '2', '--isolation', 'Reuse'], {
    env,
  })
  await worker.says(/worker ready/)
  await run(
    'enqueue',
    'seen',
    'throws',
    '{"message":"boom \\u001b[2J"}',
    '--id',
    'failed',
    '--max-attempts',
    '1',
    '--wait=30s',
  )
  await run('enqueue', 'seen', 'exits', '{"code":3}', '--id', 'exited', '--max-attempts', '1', '--wait=30s')
  await run('enqueue', 'seen', 'succeeds', '{"a":1}', '--id', 'done', '--wait=30s')
  await run('enqueue', 'seen', 'sleeps-forever', '--id', 'running')
  await run('enqueue', 'seen', 'succeeds', '--id', 'later', '--delay', '1h')
  await eventually(async () => (await json('job', 'seen', 'running')).state === 'held')
}, PATIENCE_MS)
afterAll(async () => {
  await stopAtOnce(worker)
}, PATIENCE_MS)

test('queues shows the numbers of every queue of the namespace', async () => {
  expect(await run('queues')).toMatch(
    new RegExp(
      `^NAMESPACE +QUEUE +READY +BLOCKED +BUSY +DELAYED +BURIED +COMPLETED.*\\n${namespace} +seen +0 +0 +1 +1 +2 +1`,
    ),
  )
  const [queue] = await json('queues', 'seen')
  expect(queue).toMatchObject({
    queue: `${namespace}.seen`,
    namespace,
    name: 'seen',
    busy: 1,
    delayed: 1,
    buried: 2,
    paused: false,
  })
})

test('queues finds those of all namespaces when none is given', async () => {
  const { stdout } = await millhand(['queues', '--json'], { env: { MILLHAND_REDIS_URL: redisUrl() } })
  expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ queue: `${namespace}.seen` }))
})

test('jobs shows a few of each state', async () => {
  const shown = await run('jobs', 'seen')
  expect(shown).toContain(`${namespace}.seen: 1 held, 0 ready, 1 delayed, 2 buried, 1 completed so far`)
  expect(shown).toMatch(/^held +running +sleeps-forever .* by \S+$/m)
  expect(shown).toMatch(/^delayed +later +succeeds .* due in (1h|60m|59m)$/m)
  expect(shown).toMatch(
    /^buried +failed +throws .* buried \S+ ago: TypeError: boom \\x1b\[2J \(E_TINY\); caused by: Error: the root of it$/m,
  )
})

test('jobs takes a filter, and goes on where a page has ended', async () => {
  const first = await json('jobs', 'seen', 'state:buried', '--limit', '1')
  expect(first).toMatchObject({ scanned: 1, isDone: false, total: 2 })
  const second = await json('jobs', 'seen', 'state:buried', '--limit', '1', '--cursor', first.cursor)
  expect([first, second].flatMap(({ jobs }) => jobs.map(({ id }: { id: string }) => id))).toEqual([
    'exited',
    'failed',
  ])
  expect([first, second].map(({ jobs }) => jobs[0].why)).toEqual([
    'exited: the child exited with code 3 before the job had a result',
    'TypeError: boom \u001b[2J (E_TINY); caused by: Error: the root of it',
  ])
  expect(await run('jobs', 'seen', 'state:completed')).toMatch(
    /^completed +done +succeeds .* ended \S+ ago$/m,
  )
  const { jobs } = await json('jobs', 'seen', 'task:thr* "boom"')
  expect(jobs.map(({ id }: { id: string }) => id)).toEqual(['failed'])
})

test('jobs names the word of a filter that it cannot read, and what to write instead', async () => {
  const { code, stderr } = await millhand(['jobs', 'seen', 'staet:buried'], { env })
  expect(code).toBe(2)
  expect(stderr).toMatch(/invalid filter "staet:": there is no such field; the fields are state, task, /)
})

test('jobs of a queue that nobody knows says that its name may be wrong', async () => {
  const { code, stderr } = await millhand(['jobs', 'sene'], { env })
  expect({ code, stderr }).toEqual({
    code: 0,
    stderr: expect.stringContaining(`there is no queue ${namespace}.sene`),
  })
})

test('job tells why a job failed, with the stack, and obeys nothing that is in it', async () => {
  const shown = await run('job', 'seen', 'failed')
  expect(shown).toMatch(/state +buried/)
  expect(shown).toMatch(/input +\{"message":"boom \\u001b\[2J"\}/)
  expect(shown).toMatch(
    /failed {2}TypeError: boom \\x1b\[2J \(E_TINY\)\n +caused by: Error: the root of it\n +at .*tiny\.ts.*\n +of the cause:\n +at .*tiny\.ts/,
  )
  expect(shown.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  expect(await run('job', 'seen', 'exited')).toMatch(/exited {2}.*\n.*exit code 3/)
})

test('job tells of an attempt whose worker died why, where, and what it had used', async () => {
  const redis = connectRedis(redisUrl())
  const queue = openQueue(redis, queueName(namespace, 'torn'))
  const [worker, place] = ['p:1', { pod: 'mail-7f9', node: 'node2' }]
  const entry = { worker, process: 'p', ...place, podUid: 'uid', poolUid: '', slots: 1, version: '0' }
  await queue.register({ ...entry, isolation: 'Fork', isolationNote: '' })
  await queue.enqueue([newJob('mails', null, { id: 'lost' })])
  const [claim] = (await queue.settleAndClaim({ worker, wanted: 1 })).claims
  const used = { maxRssBytes: 64 * 2 ** 20, cpuUserMs: 1_500, cpuSystemMs: 500 }
  await queue.renew(worker, { used: [{ token: claim?.token ?? '', ...used }] })
  await queue.reap({ worker, evidence: 'sure', reason: 'the container ended: OOMKilled' })
  redis.close()
  expect(await run('job', 'torn', 'lost')).toMatch(
    /worker-lost {2}the container ended: OOMKilled\n +CPU 2s, memory 64.0 MiB, worker p:1, pod mail-7f9, node node2, error group v1:[0-9a-f]{16}$/m,
  )
  expect((await json('job', 'torn', 'lost')).failures).toMatchObject([{ ...place, ...used }])
})

test('job without a queue finds it in any', async () => {
  expect(await json('job', 'done')).toMatchObject({
    queue: `${namespace}.seen`,
    state: 'completed',
    result: { input: { a: 1 }, attempt: 1 },
    failures: [],
  })
})

test('job that nobody knows is a failure that says so', async () => {
  const { code, stdout, stderr } = await millhand(['job', 'seen', 'nobody'], { env })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toContain(`job nobody is not known in ${namespace}.seen`)
})

test('why says what stops a job, job says it too, and a running job says where', async () => {
  expect(await run('why', 'seen', 'later')).toMatch(
    /^job later of \S+ is delayed\n {2}it was enqueued with a delay, and is not due yet \(for (1h|60m|59m) more\)$/m,
  )
  expect(await run('job', 'seen', 'later')).toMatch(/why +it was enqueued with a delay/)
  expect((await json('job', 'seen', 'later')).why).toMatchObject([{ code: 'delayed' }])
  expect(await json('why', 'seen', 'running')).toMatchObject({ state: 'held', causes: [{ code: 'running' }] })
  const { code, stderr } = await millhand(['why', 'seen', 'nobody'], { env })
  expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('job nobody is not known') })
})

test(
  'job --follow prints the lines of a running job until its end, harmless for a terminal',
  async () => {
    await run('enqueue', 'seen', 'counts-aloud', '{"lines":100,"everyMs":200}', '--id', 'loud')
    const { code, stdout, stderr } = await millhand(['job', 'seen', 'loud', '--follow'], { env })
    expect(code).toBe(0)
    expect(stdout).toMatch(/^line \d+\n(.*\n)*line 100\n$/)
    expect(stderr).toMatch(/job is held\njob is completed\n$/)
  },
  PATIENCE_MS,
)

test('workers shows who works, with slots and held jobs', async () => {
  const [entry] = await json('workers', 'seen')
  expect(entry).toMatchObject({
    queue: `${namespace}.seen`,
    slots: 2,
    held: 1,
    isolation: 'Reuse',
    alive: true,
    draining: false,
  })
  expect(await run('workers')).toMatch(/^seen +\S+ +\S+ +2 +1 +alive +\S+ +Reuse$/m)
  expect(await run('workers', 'other')).toContain(`no worker serves ${namespace}.other`)
})
