// events, errors and stats: what people see of what happened in a queue that a real worker serves.

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
const enqueue = (task: string, input: unknown, id: string) =>
  run('enqueue', 'seen', task, JSON.stringify(input), '--id', id, '--max-attempts', '1', '--wait=30s')
let worker: Running
let follower: Running

beforeAll(async () => {
  worker = startMillhand(['worker', TINY_TASKS, '--queue', 'seen', '--slots', '2', '--isolation', 'Reuse'], {
    env,
  })
  await worker.says(/worker ready/)
  await enqueue('throws', { message: 'no user 17 \u001b[2J' }, 'failed-1')
  await enqueue('throws', { message: 'no user 4711 \u001b[2J' }, 'failed-2')
  await enqueue('exits', { code: 3 }, 'exited')
  follower = startMillhand(['events', 'seen', '--follow', '--json'], { env })
  await eventually(async () => {
    await enqueue('succeeds', { a: 1 }, `done-${Math.random()}`)
    return follower.stdout().includes('"completed"')
  })
}, PATIENCE_MS)
afterAll(async () => {
  await stopAtOnce(worker)
}, PATIENCE_MS)

test('errors shows failures of one kind as one group, and its jobs', async () => {
  expect(await run('errors', 'seen')).toMatch(
    /^GROUP +COUNT +BURIED +LAST +TASKS +ERROR\nv1:[0-9a-f]{16} +1 +1 .*exits +exited.*\nv1:[0-9a-f]{16} +2 +2 .*throws +TypeError: no user 17 \\x1b\[2J\n/,
  )
  const { groups, total } = await json('errors', 'seen')
  expect(total).toBe(2)
  const group = groups[1].group
  expect(await run('errors', 'seen', group)).toMatch(
    new RegExp(
      `^error group ${group} of ${namespace}.seen\\n  TypeError: no user 17 .*attempts +2 \\(throws 2\\).*failed-2\\n  failed-1`,
      's',
    ),
  )
  expect((await json('errors', 'seen', group)).jobs).toEqual(['failed-2', 'failed-1'])
  expect(await run('errors', 'seen', group, '--limit', '1')).toContain(
    `and 1 more: millhand jobs seen error:${group}`,
  )
  for (const [command, note] of [
    ['errors', '1 more: --limit 2\n'],
    ['events', ' earlier: --limit '],
  ] as const) {
    const { stderr } = await millhand([command, 'seen', '--limit', '1'], { env })
    expect(stderr).toContain(note)
  }
  expect(await run('job', 'seen', 'failed-1')).toContain(`error group ${group}`)
  expect((await json('job', 'seen', 'failed-1')).failures[0].group).toBe(group)
})

test('a muted group is left out of the list', async () => {
  const [{ group }] = (await json('errors', 'seen')).groups
  expect(await run('errors', 'seen', group, '--mute')).toContain(', muted')
  const { stdout, stderr } = await millhand(['errors', 'seen'], { env })
  expect(stdout).not.toContain(group)
  expect(stderr).toContain('1 more muted; --all shows them')
  expect(await run('errors', 'seen', '--all')).toContain(group)
  await run('errors', 'seen', group, '--unmute')
  expect(await run('errors', 'seen')).toContain(group)
})

test('stats shows throughput, failures and times, by task too', async () => {
  const stats = await eventually(
    async () => {
      const said = await run('stats', 'seen', '--by', 'task')
      return /throws/.test(said) && /succeeds/.test(said) && said
    },
    { what: 'figures of the last heartbeat' },
  )
  expect(stats).toMatch(/^ +COMPLETED +A SECOND +FAILED +WAIT P50 +P95 +P99 +RUN P50 +P95 +P99\n/)
  expect(stats).toMatch(/^throws +0 +0\.00 +2 +\d+/m)
  expect(stats).toMatch(/^exits +0 +0\.00 +1 +\d+/m)
  expect(await run('stats', 'seen')).toMatch(new RegExp(`^${namespace}\\.seen +\\d+ +0\\.\\d\\d +3 `, 'm'))
  const { columns, times } = await json('stats', 'seen', '--since', '10m')
  expect(columns.find(({ series }: { series: string }) => series === 'failed').total).toBe(3)
  expect(columns[0].values).toHaveLength(times.length)
})

test('events prints what was kept, and follows what happens until it is stopped', async () => {
  expect(await run('events', 'seen')).toMatch(
    /\d\d:\d\d:\d\d {2}buried +failed-1 +throws +attempt 1, failed, v1:[0-9a-f]{16} +by .*\n/,
  )
  const lines = follower
    .stdout()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const kinds = lines.flatMap(({ changes }) => changes.map(({ kind }: { kind: string }) => kind))
  expect(kinds).toEqual(expect.arrayContaining(['enqueued', 'claimed', 'completed']))
  await run('pause', 'seen')
  await eventually(() => follower.stdout().includes('"paused"'))
  await run('resume', 'seen')
  follower.process.kill('SIGINT')
  expect((await follower.ended).code).toBe(0)
})

test.each([
  [['errors', 'seen', 'nothing'], 'invalid group "nothing": a group is like v1:0123456789abcdef'],
  [['errors', 'seen', 'v1:0000000000000000'], 'there is no group v1:0000000000000000 in'],
  [['errors', 'seen', '--mute'], 'name the group to mute or unmute'],
  [['stats', 'seen', '--by', 'pod'], 'invalid --by "pod": the one choice is task'],
  [['stats', 'seen', '--since', '200d'], 'invalid --since: give 10s to 100d'],
  [['events', 'seen', '--after', 'x'], 'invalid after "x": use the id of an event'],
])('%j says what is wrong', async (args, message) => {
  const { code, stderr } = await millhand(args, { env })
  expect(code).not.toBe(0)
  expect(stderr).toContain(message)
})

test.each(['events', 'errors', 'stats'])('%s of a queue that is not there says so', async (command) => {
  const { stdout, stderr } = await millhand([command, 'nowhere'], { env })
  expect(stdout).not.toBe('')
  expect(stderr).toContain(`there is no queue ${namespace}.nowhere; check its name`)
})
