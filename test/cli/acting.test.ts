// retry, cancel, delete, pause and resume: what people do to jobs and queues.
import { connectRedis, defaultSettings, newJob, openQueue } from 'millhand/queue'
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
const run = (...args: string[]) => millhand(args, { env })
const redis = connectRedis(redisUrl())
const queue = openQueue(redis, `${namespace}.acted`)
const stateOf = async (id: string) => (await queue.job(id))?.state
let worker: Running

beforeAll(async () => {
  worker = startMillhand(['worker', TINY_TASKS, '--queue', 'acted', '--slots', '2', '--isolation', 'Reuse'], {
    env,
  })
  await worker.says(/worker ready/)
}, PATIENCE_MS)
afterAll(async () => {
  redis.close()
  await stopAtOnce(worker)
}, PATIENCE_MS)

async function bury(...ids: string[]): Promise<void> {
  await queue.enqueue(ids.map((id) => newJob('throws-terminal', null, { id })))
  for (const id of ids) await eventually(async () => (await stateOf(id)) === 'buried')
}

test('a buried job is ready again after retry', async () => {
  await bury('again')
  await queue.pause()
  expect(await run('retry', 'acted', 'again')).toMatchObject({
    code: 0,
    stdout: 'job again is ready again\n',
  })
  expect(await stateOf('again')).toBe('ready')
  await queue.resume()
  await eventually(async () => (await stateOf('again')) === 'buried')
})

test('only buried jobs are retried or deleted; the others are named, with their state', async () => {
  await queue.enqueue([newJob('succeeds', null, { id: 'waits', delayMs: 600_000 })])
  await bury('lies')
  const retried = await run('retry', 'acted', 'waits', 'nobody', 'lies', '--json')
  expect(retried.code).toBe(1)
  expect(JSON.parse(retried.stdout).jobs).toEqual([
    { id: 'waits', state: 'delayed' },
    { id: 'nobody', state: 'unknown' },
    { id: 'lies', state: 'ready' },
  ])
  expect(retried.stderr).toMatch(
    /only buried jobs can be retried:\n +job waits is delayed\n +job nobody is not known/,
  )
  expect(await run('delete', 'acted', 'waits')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('job waits is delayed; only buried and ended jobs'),
  })
})

test(
  '--all retries, or deletes, every buried job, each once',
  async () => {
    await bury(...Array.from({ length: 12 }, (_, index) => `many-${index}`))
    const before = (await queue.depth()).buried
    expect(await run('retry', 'acted', '--all', '--yes')).toMatchObject({
      code: 0,
      stdout: `${before} jobs of ${queue.name} are ready again\n`,
    })
    await eventually(async () => (await queue.depth()).buried === before)
    expect(await run('delete', 'acted', '--all', '--yes')).toMatchObject({
      code: 0,
      stdout: `${before} jobs of ${queue.name} are deleted\n`,
    })
    expect(await run('delete', 'acted', '--all', '--yes')).toMatchObject({
      code: 0,
      stdout: `${queue.name} has no buried jobs\n`,
    })
    expect(await stateOf('many-3')).toBeUndefined()
  },
  PATIENCE_MS,
)

test('retry and delete want to know which jobs', async () => {
  expect(await run('retry', 'acted')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('name the jobs by their ids, or give --all or --filter'),
  })
  expect(await run('delete', 'acted', 'x', '--all')).toMatchObject({ code: 2 })
})

test(
  'a filter is counted first, needs a yes where nobody can be asked, and leaves a record; a delete is undone',
  async () => {
    await queue.delete((await queue.jobs('buried', { limit: 100 })).map(({ id }) => id))
    await bury('f-1', 'f-2', 'f-3')
    const filter = ['--filter', 'task:throws-terminal state:buried']
    const dry = await run('delete', 'acted', ...filter, '--dry-run')
    expect(dry).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(`delete would be done to 3 jobs of ${queue.name}`),
    })
    expect(dry.stdout).toMatch(/^ {2}f-3 {2}buried {2}throws-terminal/m)
    expect(await run('delete', 'acted', ...filter)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`delete: 3 jobs of ${queue.name}; to do it without a question: --yes`),
    })
    const deleted = await run('delete', 'acted', ...filter, '--yes', '--reason', 'a test')
    expect(deleted).toMatchObject({ code: 0, stdout: `3 jobs of ${queue.name} are deleted\n` })
    const [, id = ''] = /millhand actions acted (\S+) --undo/.exec(deleted.stderr) ?? []
    expect(await stateOf('f-2')).toBeUndefined()
    expect((await run('actions', 'acted')).stdout).toMatch(
      /delete +done +3\/3 +0 +0 .*task:throws-terminal.* a test$/m,
    )
    const [, next = ''] =
      /to go on: --cursor '(.+)'/.exec((await run('actions', 'acted', '--limit', '1')).stderr) ?? []
    expect(next).toBe(id)
    expect((await run('actions', 'acted', '--cursor', next)).stdout).not.toContain(id)
    const undone = await run('actions', 'acted', id, '--undo')
    expect(undone).toMatchObject({ code: 0, stderr: '3 jobs put back\n' })
    expect(undone.stdout).toMatch(/state +undone\n/)
    const events = (await run('events', 'acted')).stdout
    for (const job of ['f-1', 'f-2', 'f-3']) expect(events).toMatch(new RegExp(`  restored +${job}$`, 'm'))
    expect(await stateOf('f-2')).toBe('buried')
    expect(await run('actions', 'acted', id, '--undo')).toMatchObject({ code: 1 })
    const retried = JSON.parse((await run('retry', 'acted', ...filter, '--yes', '--json')).stdout)
    expect(retried.action).toMatchObject({ verb: 'retry', state: 'done', done: 3, total: 3, skipped: 0 })
  },
  PATIENCE_MS,
)

test(
  'above 1,000 jobs the number itself is the yes',
  async () => {
    const many = openQueue(redis, `${namespace}.many`)
    await many.enqueue(Array.from({ length: 1_000 }, () => newJob('succeeds', null)))
    await many.enqueue(Array.from({ length: 500 }, () => newJob('succeeds', null)))
    const cancel = (...more: string[]) => run('cancel', 'many', '--filter', 'state:ready', ...more)
    expect(await cancel('--yes')).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes 1500') })
    expect(await cancel('--yes', '1501')).toMatchObject({ code: 2 })
    expect((await many.depth()).ready).toBe(1_500)
    expect(await cancel('--yes', '1500')).toMatchObject({
      code: 0,
      stdout: `1500 jobs of ${many.name} are cancelled\n`,
    })
    expect((await many.depth()).ready).toBe(0)
  },
  PATIENCE_MS,
)

test(
  'Ctrl-C ends an action after its page, and says what was done',
  async () => {
    const many = openQueue(redis, `${namespace}.stopped`)
    for (let i = 0; i < 60; i += 1)
      await many.enqueue(Array.from({ length: 1_000 }, () => newJob('succeeds', null)))
    const running = startMillhand(['cancel', 'stopped', '--filter', 'state:ready', '--yes', '60000'], { env })
    await eventually(async () => (await many.depth()).ready < 60_000)
    running.process.kill('SIGINT')
    const { code, stdout, stderr } = await running.ended
    expect(code).toBe(1)
    expect(stderr).toMatch(/the action was aborted before its end/)
    const { ready } = await many.depth()
    expect(ready).toBeGreaterThan(0)
    expect(stdout).toBe(`${60_000 - ready} jobs of ${many.name} are cancelled\n`)
    expect(await many.actions.list()).toMatchObject([
      { state: 'aborted', done: 60_000 - ready, total: 60_000 },
    ])
  },
  PATIENCE_MS,
)

test.each([
  [['retry', 'acted', 'x', '--filter', 'state:buried'], /give ids or a filter, not both/],
  [['retry', 'acted', '--filter', ''], /the filter is empty/],
  [['retry', 'acted', '--filter', 'state:ready'], /retry does nothing to jobs in this state.*states buried/],
  [['retry', 'acted', '--filter', 'x:y'], /no such field/],
  [['retry', 'acted', '--all', '--filter', 'x'], /--all or --filter/],
  [['retry', 'acted', 'x', '--dry-run'], /go with --filter/],
  [['actions', 'acted', '--undo'], /name the action/],
  [['actions', 'acted', 'x', '--undo', '--abort'], /one of --undo, --abort and --resume/],
])('%j is wrong use', async (args, message) => {
  expect(await run(...args)).toMatchObject({ code: 2, stderr: expect.stringMatching(message) })
})

test(
  'a waiting job is cancelled at once, a running one is ended, an ended one cannot be',
  async () => {
    await queue.enqueue([
      newJob('succeeds', null, { id: 'delayed', delayMs: 600_000 }),
      newJob('sleeps-forever', null, { id: 'runs' }),
      newJob('succeeds', null, { id: 'ended' }),
    ])
    await eventually(
      async () => (await stateOf('runs')) === 'held' && (await stateOf('ended')) === 'completed',
    )
    const { code, stdout, stderr } = await run('cancel', 'acted', 'delayed', 'runs', 'ended')
    expect(code).toBe(1)
    expect(stdout).toBe('job delayed is cancelled\njob runs is being ended by its worker\n')
    expect(stderr).toContain('job ended is completed; only a job that waits or runs can be cancelled')
    await eventually(async () => (await stateOf('runs')) === 'cancelled')
  },
  PATIENCE_MS,
)

test('a paused queue gives out no job until it is resumed', async () => {
  expect(await run('pause', 'acted')).toMatchObject({
    code: 0,
    stdout: expect.stringContaining(`${queue.name} is paused`),
    stderr: '',
  })
  await queue.enqueue([newJob('succeeds', null, { id: 'patient' })])
  expect((await run('queues', 'acted')).stdout).toMatch(/ paused$/m)
  expect(await stateOf('patient')).toBe('ready')
  expect(await run('resume', 'acted')).toMatchObject({
    code: 0,
    stdout: `${queue.name} is no longer paused; ready jobs: 1\n`,
  })
  await eventually(async () => (await stateOf('patient')) === 'completed')
})

test(
  'a key and a job that rest are named and ended',
  async () => {
    const rest = (id: string, pause: string, key?: string) =>
      queue.enqueue([newJob('asks-for-rest', { ms: 3_600_000, pause }, { id, ...(key && { key }) })])
    await rest('alone', 'job')
    await rest('keyed', 'key', 'slow')
    await eventually(async () => (await queue.rests()).total === 1 && (await stateOf('alone')) === 'delayed')
    expect((await run('limit', 'acted')).stderr).toMatch(
      /^keys that rest \(RetryAfter\): slow for \d+m.* more; to end one: millhand resume acted --key KEY\n/,
    )
    for (const [option, what] of [
      [['--key', 'slow'], 'key slow'],
      [['--job', 'alone'], 'job alone'],
    ] as const)
      expect(await run('resume', 'acted', ...option)).toMatchObject({
        code: 0,
        stdout: `${what} of ${queue.name} rests no longer\n`,
      })
    expect(await run('resume', 'acted', '--key', 'none', '--json')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"wasResting": false'),
    })
    expect(await run('resume', 'acted', '--key', 'x', '--job', 'y')).toMatchObject({ code: 2 })
    for (const id of ['alone', 'keyed']) await queue.cancel(id)
  },
  PATIENCE_MS,
)

test('a queue that is declared and never had a job is known', async () => {
  const declared = openQueue(redis, `${namespace}.declared`)
  await declared.configure({ ...defaultSettings, ownerUid: 'its-task-queue' })
  for (const command of ['pause', 'resume', 'jobs'])
    expect(await run(command, 'declared')).toMatchObject({ code: 0, stderr: '' })
})

test('pausing a queue that nobody knows says that its name may be wrong', async () => {
  expect(await run('pause', 'actde')).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('check its name'),
  })
})
