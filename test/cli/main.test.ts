import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { redisUrl } from '../redis.ts'
import { millhand, PATIENCE_MS } from './millhand.ts'

const COMMANDS = [
  'up',
  'top',
  'worker',
  'enqueue',
  'queues',
  'jobs',
  'job',
  'retry',
  'cancel',
  'delete',
  'purge',
  'pause',
  'resume',
  'workers',
  'doctor',
]
const folder = mkdtempSync(join(tmpdir(), 'millhand-cli-'))
afterAll(() => rmSync(folder, { recursive: true }))

test(
  'every command explains itself, with examples',
  async () => {
    for (const command of COMMANDS) {
      const { code, stdout } = await millhand([command, '--help'])
      expect({ command, code }).toEqual({ command, code: 0 })
      expect(stdout).toMatch(
        new RegExp(`Usage: millhand ${command}[\\s\\S]*\\nExamples:\\n[\\s\\S]*millhand ${command}`),
      )
    }
  },
  PATIENCE_MS,
)

test('the help names every command', async () => {
  const { stdout } = await millhand(['--help'])
  for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${command} `, 'm'))
})

test('the version is that of the package', async () => {
  expect(await millhand(['--version'])).toEqual({
    code: 0,
    stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/),
    stderr: '',
  })
})

test('a misspelt command or option leads to the right one', async () => {
  const [command, option] = await Promise.all([
    millhand(['quees']),
    millhand(['jobs', 'mail', '--limt', '5']),
  ])
  expect(command).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('Did you mean queues?'),
  })
  expect(option).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining('Did you mean --limit?'),
  })
})

test('without a Redis to talk to, a sentence says how to give one', async () => {
  const { code, stdout, stderr } = await millhand(['queues'], { cwd: folder })
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(
    /^millhand: no Redis is given, and no millhand up runs in this folder: .*MILLHAND_REDIS_URL.*\n$/,
  )
})

test(
  'a Redis that cannot be reached, or does not answer, is given up on in seconds, in one line and without its password',
  async () => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const startedAt = performance.now()
    const [refused, mute] = await Promise.all([
      millhand(['queues', '--redis', 'redis://ann:secret@127.0.0.1:1']),
      millhand(['enqueue', 'mail', 'send'], {
        env: { MILLHAND_REDIS_URL: `redis://ann:secret@127.0.0.1:${port}` },
      }),
    ])
    silent.close()
    expect(performance.now() - startedAt).toBeLessThan(15_000)
    for (const { code, stdout, stderr } of [refused, mute]) {
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
      expect(stderr).toMatch(/^millhand: .*127\.0\.0\.1:\d+.*\n$/)
      expect(stderr).not.toMatch(/secret|ann/)
    }
  },
  PATIENCE_MS,
)

test('a password in an address that cannot be used is not repeated', async () => {
  const attempts = [
    ['queues', '--redis', 'ann:secret@host'],
    ['queues', '--redis', 'http://ann:secret@host'],
    ['queues', '--rediss=redis://ann:secret@host'],
  ]
  for (const args of attempts) {
    const { code, stderr } = await millhand(args)
    expect(code).toBeGreaterThan(0)
    expect(stderr).toMatch(/^millhand: /)
    expect(stderr).not.toContain('secret')
  }
})

test('the stack of a failure is shown to whoever sets MILLHAND_DEBUG, and to nobody else', async () => {
  const env = { MILLHAND_REDIS_URL: redisUrl() }
  const [plain, debug] = await Promise.all([
    millhand(['jobs', 'No Queue'], { env }),
    millhand(['jobs', 'No Queue'], { env: { ...env, MILLHAND_DEBUG: '1' } }),
  ])
  expect(plain).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^millhand: .*No Queue".*\n$/),
  })
  expect(debug.stderr).toMatch(/\n +at /)
})
