import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { millhand, ownNamespace, PATIENCE_MS, startMillhand, TINY_TASKS } from './millhand.ts'

const env = { MILLHAND_REDIS_URL: redisUrl() }

test(
  'a worker serves the queues it was given, and ends with 0 when it is told to',
  async () => {
    const namespace = ownNamespace()
    const args = [
      'worker',
      TINY_TASKS,
      '--queue',
      'one:3',
      '--queue',
      'two',
      '--slots',
      '3',
      '--isolation',
      'Reuse',
      '--namespace',
      namespace,
    ]
    const worker = startMillhand(args, { env })
    await worker.says(/worker ready/)
    const ready =
      worker
        .stdout()
        .split('\n')
        .find((line) => line.includes('worker ready')) ?? ''
    expect(JSON.parse(ready)).toMatchObject({
      queues: [`${namespace}.one`, `${namespace}.two`],
      slots: 3,
      isolation: 'Reuse',
    })
    for (const queue of ['one', 'two']) {
      const result = await millhand(
        ['enqueue', queue, 'succeeds', '"hello"', '--namespace', namespace, '--wait=30s'],
        { env },
      )
      expect(JSON.parse(result.stdout).input).toBe('hello')
    }
    worker.process.kill('SIGTERM')
    expect((await worker.ended).code).toBe(0)
  },
  PATIENCE_MS,
)

test(
  'it is the worker itself, so that signals reach it and nothing is left when it is killed',
  async () => {
    const namespace = ownNamespace()
    const worker = startMillhand(['worker', TINY_TASKS, '--queue', 'lone', '--namespace', namespace], { env })
    await worker.says(/worker ready/)
    const { stdout } = await millhand(['workers', 'lone', '--namespace', namespace, '--json'], { env })
    expect(JSON.parse(stdout)).toMatchObject([{ alive: true }])
    worker.process.kill('SIGKILL')
    await worker.ended
    await eventually(async () => worker.process.signalCode === 'SIGKILL')
  },
  PATIENCE_MS,
)

test('what is wrong with its start ends it, with the sentence and the exit code of the worker', async () => {
  const { code, stderr } = await millhand(['worker', 'no-such-file.ts', '--queue', 'mail'], { env })
  expect({ code, stderr }).toEqual({
    code: 78,
    stderr: expect.stringContaining('the task file no-such-file.ts does not exist'),
  })
})

test('without a queue, or with one that makes no sense, it is not started', async () => {
  expect(await millhand(['worker', TINY_TASKS], { env })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('name one with --queue'),
  })
  expect(await millhand(['worker', TINY_TASKS, '--queue', 'mail:0'], { env })).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('It is like mail or mail:3'),
  })
})
