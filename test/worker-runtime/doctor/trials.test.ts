// Servers that are nearly a Redis: what they lack is found by trying it, and said with a remedy, by millhand doctor and by a worker.
import { fileURLToPath } from 'node:url'
import { tryOut } from 'millhand/doctor'
import { connectRedis } from 'millhand/queue'
import { millhand } from '../../cli/millhand.ts'
import { RedisServer } from '../../redis-server.ts'
import { redis62 } from '../../redis-versions.ts'
import { WorkerProcess } from '../../worker-process.ts'

const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))
const PATIENCE_MS = 60_000

async function found(server: RedisServer): Promise<string[]> {
  const [commands, messages] = [connectRedis(server.url), connectRedis(server.url)]
  try {
    const findings = await tryOut({ commands, messages, queue: 'trials.queue' })
    return findings.map(({ severity, message, remedy }) => `${severity}: ${message} → ${remedy}`)
  } finally {
    commands.close()
    messages.close()
  }
}

test('a Redis with all its commands lacks nothing, and keeps nothing of the trial', async () => {
  const server = await RedisServer.start()
  expect(await found(server)).toEqual([])
  const redis = connectRedis(server.url)
  expect(await redis.call('DBSIZE')).toBe(0)
  redis.close()
  await server.remove()
})

test.each([
  ['EVAL', /^problem: .*scripts \(EVAL\)/],
  ['BZPOPMIN', /^problem: .*waiting for work \(BZPOPMIN\)/],
  ['SUBSCRIBE', /^problem: .*messages \(SUBSCRIBE, PUBLISH\)/],
])('one without %s is told so, with the remedy', async (command, says) => {
  const server = await RedisServer.start({ args: ['--rename-command', command, ''] })
  expect(await found(server)).toEqual([expect.stringMatching(says)])
  expect(await found(server)).toEqual([expect.stringMatching(/→ use Redis 6\.2, Valkey 7\.2 or newer/)])
  await server.remove()
})

test(
  'one whose scripts may not write once they have asked for the time is told which setting it is',
  async () => {
    const server = await RedisServer.start({
      binary: await redis62(),
      args: ['--lua-replicate-commands', 'no'],
    })
    expect(await found(server)).toEqual([
      expect.stringMatching(/^problem: .*lua-replicate-commands no.*CONFIG SET lua-replicate-commands yes/),
    ])
    await server.remove()
  },
  PATIENCE_MS,
)

test('a user that may not wait for work is told what to allow', async () => {
  const server = await RedisServer.start()
  const admin = connectRedis(server.url)
  await admin.call('ACL', 'SETUSER', 'poor', 'on', '>secret', '~*', '&*', '+@all', '-bzpopmin')
  const [commands, messages] = [1, 2].map(() => connectRedis(server.url.replace('//', '//poor:secret@')))
  if (!commands || !messages) throw new Error('there are no connections')
  expect(await tryOut({ commands, messages, queue: 'trials.queue' })).toEqual([
    expect.objectContaining({
      check: 'Rights',
      severity: 'note',
      remedy: expect.stringContaining('+bzpopmin'),
    }),
  ])
  for (const connection of [admin, commands, messages]) connection.close()
  await server.remove()
})

test(
  'without scripts doctor names the problem, and a worker ends with a sentence that names doctor',
  async () => {
    const server = await RedisServer.start({
      args: ['--rename-command', 'EVAL', '', '--rename-command', 'EVALSHA', ''],
    })
    const { code, stdout } = await millhand(['doctor', '--redis', server.url])
    expect([code, stdout]).toEqual([
      1,
      expect.stringMatching(/problem .*scripts \(EVAL\), which a queue needs\n.*→ use Redis 6\.2/),
    ])
    const worker = new WorkerProcess({
      redisUrl: server.url,
      queues: ['trials'],
      modules: [TINY],
      isolation: 'Spawn',
    })
    expect(await worker.ended).toEqual({ code: 70, signal: null })
    expect(worker.stderr).toMatch(
      /^millhand-worker: Redis refuses a command that a worker needs \(.*\): millhand doctor .*\n$/,
    )
    await server.remove()
  },
  PATIENCE_MS,
)
