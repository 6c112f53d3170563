// How the worker process behaves towards whoever starts it.
import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readConfig } from '../../worker-runtime/src/config.ts'
import { eventually } from '../eventually.ts'
import { descendants } from '../processes.ts'
import { redisUrl } from '../redis.ts'
import { RedisServer } from '../redis-server.ts'
import { startWorker } from '../worker-process.ts'

const MAIN = fileURLToPath(new URL('../../worker-runtime/src/main.ts', import.meta.url))
const BIN = fileURLToPath(new URL('../../worker-runtime/bin/millhand-worker.js', import.meta.url))
const tasks = (name: string) => fileURLToPath(new URL(`../tasks/${name}.ts`, import.meta.url))
const base = { MILLHAND_REDIS_URL: 'redis://127.0.0.1:6379', MILLHAND_QUEUES: '[{"name":"q"}]' }

function run(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const options = {
      env: { PATH: process.env.PATH, ...base, MILLHAND_REDIS_URL: redisUrl(), ...env },
      timeout: 30_000,
    }
    execFile(
      process.execPath,
      ['--conditions=millhand-source', MAIN, ...args],
      options,
      (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    )
  })
}

test.each([
  ['no file', [], {}, /no task file is given: name the files/],
  ['a missing file', ['nowhere.ts'], {}, /the task file nowhere\.ts does not exist/],
  [
    'a file that throws',
    [tasks('throws-at-load')],
    {},
    /cannot load \S+throws-at-load\.ts: .*broken \(\/\S+throws-at-load\.ts:\d+:\d+\)/,
  ],
  ['a file without tasks', [tasks('frame')], {}, /no task is defined in \S+frame\.ts/],
  ['a task that is defined twice', [tasks('defines-twice')], {}, /defined twice/],
  [
    'an unknown isolation',
    [tasks('tiny')],
    { MILLHAND_ISOLATION: 'Thread' },
    /invalid MILLHAND_ISOLATION "Thread": use one of Fork, Spawn, Reuse/,
  ],
  [
    'queues that are no JSON',
    [tasks('tiny')],
    { MILLHAND_QUEUES: 'mail' },
    /invalid MILLHAND_QUEUES "mail": use a list of queues as JSON/,
  ],
  [
    'a name that no queue in Redis may have',
    [tasks('tiny')],
    { MILLHAND_QUEUES: '[{"name":"a","queueName":"Not this"}]' },
    /MILLHAND_QUEUES: invalid queue name "Not this"/,
  ],
  [
    'two names for one queue in Redis',
    [tasks('tiny')],
    { MILLHAND_QUEUES: '[{"name":"a"},{"name":"b","queueName":"default.a"}]' },
    /duplicate queueName default\.a in MILLHAND_QUEUES/,
  ],
  ['an unknown option', ['--nope'], {}, /--nope/],
])(
  'a worker started with %s says so in one sentence and exits with 78',
  async (_what, args, env, sentence) => {
    const { code, stderr } = await run(args as string[], env as Record<string, string>)
    expect(stderr).toMatch(sentence as RegExp)
    expect(stderr.trim().split('\n')).toHaveLength(1)
    expect(code).toBe(78)
  },
  40_000,
)

test('--check loads the files and nothing more: it names their tasks, or says why there are none', async () => {
  const nowhere = { MILLHAND_REDIS_URL: '' }
  expect(await run(['--check', tasks('forked'), tasks('tells-modules')], nowhere)).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/^tasks: .*tells-modules\n$/),
  })
  expect(await run(['--check', tasks('throws-at-load')], nowhere)).toMatchObject({
    code: 78,
    stderr: expect.stringMatching(/cannot load .*broken \(\/\S+throws-at-load\.ts:1:7\)\n$/),
  })
  expect((await run(['--check', tasks('frame')], nowhere)).stderr).toMatch(/no task is defined/)
}, 40_000)

test.each(['Fork', 'Spawn'])(
  'a worker whose first child is killed while it loads (%s) exits with 70: another start may succeed',
  async (mode) => {
    const { code, stderr } = await run([tasks('killed-at-load')], { MILLHAND_ISOLATION: mode })
    expect(stderr).toMatch(/was killed by SIGKILL before it had loaded the modules/)
    expect(code).toBe(70)
  },
  40_000,
)

test.each(['Fork', 'Spawn'])(
  'a worker whose modules take longer than they may to load (%s) exits with 70 and names the setting, which gives them longer',
  async (isolation) => {
    const modules = [tasks('takes-its-time-to-load')]
    const env = { MILLHAND_ISOLATION: isolation }
    const { code, stderr } = await run(modules, { ...env, MILLHAND_LOAD_TIMEOUT_SECONDS: '1' })
    expect(stderr).toMatch(/did not load within 1 s; MILLHAND_LOAD_TIMEOUT_SECONDS gives them longer/)
    expect(code).toBe(70)
    const patient = { MILLHAND_LOAD_TIMEOUT_SECONDS: '40' }
    const options = { redisUrl: redisUrl(), queues: [`slow-${process.pid}`], modules, slots: 1 }
    const worker = await startWorker({ ...options, env: { ...env, ...patient } })
    expect(await worker.stop()).toEqual({ code: 0, signal: null })
  },
  60_000,
)

const asRoot = process.getuid?.() === 0 && process.platform === 'linux' ? test : test.skip
asRoot(
  'a worker that is PID 1 hears a SIGTERM that comes while its own code still loads',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'millhand-main-'))
    const [loading, go] = [join(folder, 'loading'), join(folder, 'go')]
    const slowLoad = `import { registerHooks } from 'node:module'
    import { existsSync, writeFileSync } from 'node:fs'
    registerHooks({
      load(url, context, next) {
        if (url.endsWith('/src/main.ts')) {
          writeFileSync(${JSON.stringify(loading)}, '')
          while (!existsSync(${JSON.stringify(go)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
        }
        return next(url, context)
      },
    })`
    const hook = `--import=data:text/javascript,${encodeURIComponent(slowLoad)}`
    const node = [process.execPath, hook, BIN, tasks('tiny')]
    const outside = spawn('unshare', ['--pid', '--fork', '--kill-child', ...node], {
      env: { PATH: process.env.PATH, ...base, MILLHAND_REDIS_URL: redisUrl() },
      stdio: ['ignore', 'ignore', 'inherit'],
    })
    try {
      await eventually(() => existsSync(loading), { what: 'the load of main.ts' })
      const [worker = 0] = descendants(outside.pid ?? 0)
      process.kill(worker, 'SIGTERM')
      writeFileSync(go, '')
      await eventually(() => outside.exitCode !== null, { what: 'the end of the worker' })
      expect(outside.exitCode).toBe(0)
    } finally {
      outside.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    }
  },
  40_000,
)

test('--help and --version say what they should', async () => {
  expect((await run(['--help'])).stdout).toMatch(/MILLHAND_QUEUES[\s\S]*Example/)
  expect((await run(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test.each([
  [{ MILLHAND_REDIS_URL: '' }, 'MILLHAND_REDIS_URL is not set'],
  [{ MILLHAND_REDIS_URL: 'http://x' }, 'is not a Redis URL'],
  [{ MILLHAND_QUEUES: '[]' }, 'invalid MILLHAND_QUEUES "[]"'],
  [{ MILLHAND_QUEUES: '[{"name":1}]' }, 'invalid entry {"name":1}'],
  [{ MILLHAND_QUEUES: '[{"name":"a"},{"name":"a"}]' }, 'duplicate queue a'],
  [
    { MILLHAND_QUEUES: '[{"name":"a","queueName":7}]' },
    'invalid queueName 7 in MILLHAND_QUEUES: use the name in Redis',
  ],
  [{ MILLHAND_SLOTS: '0' }, 'invalid MILLHAND_SLOTS "0": use a whole number from 1 to 1000'],
  [{ MILLHAND_SLOTS: '5000' }, 'invalid MILLHAND_SLOTS "5000": use a whole number from 1 to 1000'],
  [{ MILLHAND_JOBS_AT_ONCE_PER_CHILD: '1001' }, '"1001": use a whole number from 1 to 1000'],
  [{ MILLHAND_SLOTS: 'many' }, 'invalid MILLHAND_SLOTS "many"'],
])('the environment %j is refused with the name, the value and the remedy', (env, message) => {
  expect(() => readConfig([tasks('tiny')], { ...base, ...env })).toThrow(message)
})

test('a password in the URL appears in no refusal, and children do not see the way to Redis', () => {
  const secret = 'redis-secret'
  expect(() =>
    readConfig([tasks('tiny')], { ...base, MILLHAND_REDIS_URL: `http://:${secret}@host` }),
  ).toThrow(expect.objectContaining({ message: expect.not.stringContaining(secret) }))
  const { childEnv } = readConfig([tasks('tiny')], {
    ...base,
    HOME: '/home/x',
    MILLHAND_NAMESPACE: 'n',
    MILLHAND_POD_UID: 'u',
  })
  expect(childEnv).toEqual({ HOME: '/home/x', MILLHAND_NAMESPACE: 'n' })
})

test('a worker says at its start what kind of Redis it has, and what of it a person should mend', async () => {
  const server = await RedisServer.start({
    args: ['--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru', '--appendfsync', 'no'],
  })
  try {
    const worker = await startWorker({ redisUrl: server.url, queues: ['q'], modules: [tasks('tiny')] })
    await worker.stop()
    expect(worker.said('connected')?.server).toMatch(/^(Redis|Valkey) \d+\.\d+/)
    expect(worker.lines.filter(({ message }) => message === 'Redis does not suit a queue')).toEqual([
      expect.objectContaining({
        level: 'error',
        check: 'Eviction',
        found: expect.stringContaining('jobs are evicted'),
        remedy: expect.stringContaining('CONFIG SET maxmemory-policy noeviction'),
      }),
      expect.objectContaining({ level: 'warn', check: 'Persistence' }),
    ])
  } finally {
    await server.remove()
  }
}, 60_000)
