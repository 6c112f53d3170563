import { tmpdir } from 'node:os'
import { dirname } from 'node:path'
import { connectRedis, newJob, openQueue, queueName } from 'millhand/queue'
import { census } from '../census.ts'
import { redisUrl } from '../redis.ts'
import { MILLHAND, millhand, ownNamespace, PATIENCE_MS } from './millhand.ts'
import { openTerminal } from './terminal.ts'

const env = { MILLHAND_REDIS_URL: redisUrl(), MILLHAND_NAMESPACE: ownNamespace() }
const redis = connectRedis(redisUrl())
afterAll(() => redis.close())
const purge = (...args: string[]) => millhand(['purge', ...args], { env })
const worker = {
  ...{ worker: 'p:1', process: 'p', pod: '', podUid: 'u', poolUid: '', node: '', slots: 1 },
  ...{ isolation: 'Spawn', isolationNote: '', version: '0' },
}

/** More than one call deletes: 1,200 ready in two lanes, one of them cancelled, 40 delayed, one held, one buried. */
async function filled(name: string) {
  const queue = openQueue(redis, queueName(env.MILLHAND_NAMESPACE, name))
  await queue.enqueue([newJob('t', 0, { id: 'buried', maxAttempts: 1 }), newJob('t', 0, { id: 'held' })])
  await queue.register(worker)
  const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 2 })
  const failed = claims
    .filter(({ id }) => id === 'buried')
    .map((claim) => ({ ...claim, verdict: 'terminal' as const, text: '{}' }))
  await queue.settleAndClaim({ worker: 'p:1', settlements: failed })
  const ready = Array.from({ length: 1_200 }, (_, n) =>
    newJob('t', n, { id: `job-${n}`, priority: n % 2 ? 'low' : 'normal' }),
  )
  const delayed = Array.from({ length: 40 }, (_, n) => newJob('t', n, { id: `later-${n}`, delayMs: 600_000 }))
  await queue.enqueue([...ready, ...delayed])
  await queue.cancel('job-7')
  return queue
}

test(
  'a queue is emptied but for what runs and what has ended, and is whole afterwards',
  async () => {
    const queue = await filled('whole')
    const { code, stdout, stderr } = await purge('whole', '--yes', '--json')
    expect({ code, stderr, ...JSON.parse(stdout) }).toEqual({
      code: 0,
      stderr: '',
      queue: queue.name,
      deleted: 1_199 + 40 + 1,
      states: ['ready', 'delayed', 'buried'],
      busy: 1,
    })
    const { states, problems } = await census(redis, queue.name)
    expect({ states: Object.fromEntries(states), problems }).toEqual({
      states: { held: 'held', 'job-7': 'cancelled' },
      problems: [],
    })
    expect((await purge('whole', '--yes')).stdout).toMatch(/^0 jobs of \S+ deleted; 1 job of it still run\n$/)
  },
  PATIENCE_MS,
)

test(
  'only jobs in the states that are named are deleted',
  async () => {
    const queue = await filled('some')
    expect((await purge('some', '--yes', '--state', 'buried', 'delayed')).stdout).toMatch(/^41 jobs of /)
    expect(await queue.depth()).toMatchObject({ ready: 1_199, delayed: 0, buried: 0, busy: 1 })
    expect((await census(redis, queue.name)).problems).toEqual([])
  },
  PATIENCE_MS,
)

test(
  'without --yes it asks for the name of the queue, and a script is refused',
  async () => {
    const queue = await filled('asked')
    expect(await purge('asked')).toEqual({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(
        /has 1199 ready, 40 delayed, 1 buried; to delete them without a question: --yes\n$/,
      ),
    })
    const inTerminal = async (answer: string) => {
      const terminal = openTerminal(`${process.execPath} ${MILLHAND} purge asked`, {
        cwd: tmpdir(),
        env: { ...process.env, ...env, PATH: `${dirname(process.execPath)}:${process.env.PATH}` },
      })
      await terminal.says(/Type the name of the queue to go on: /)
      terminal.type(`${answer}\r`)
      await terminal.ended
      return terminal.text()
    }
    expect(await inTerminal('yes')).toContain('nothing was deleted')
    expect((await queue.depth()).ready).toBe(1_199)
    expect(await inTerminal('asked')).toMatch(/1240 jobs of \S+ deleted/)
    expect((await queue.depth()).ready).toBe(0)
  },
  PATIENCE_MS,
)

test('a queue that nobody knows is no empty queue', async () => {
  expect(await purge('unheard-of', '--yes')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('check its name'),
  })
})
