import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { isAlive } from '../processes.ts'
import { millhand, PATIENCE_MS, type Running, startMillhand, stopAtOnce, TINY_TASKS } from './millhand.ts'

const manifest = (task = TINY_TASKS) => `
apiVersion: millhand.dev/v1beta1
kind: TaskQueue
metadata: { name: tiny }
---
apiVersion: millhand.dev/v1beta1
kind: WorkerPool
metadata: { name: tiny }
spec:
  queues: [{ name: tiny }]
  isolation: { mode: Reuse }
  drain: { timeoutSeconds: 50 }
  template: { spec: { containers: [{ name: worker, image: none, args: [${task}] }] } }
`
let folder = ''
const started: Running[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millhand-cli-up-'))
  writeFileSync(join(folder, 'tiny.yaml'), manifest())
})
afterEach(async () => {
  for (const running of started.splice(0)) await stopAtOnce(running)
  rmSync(folder, { recursive: true, force: true })
}, PATIENCE_MS)

function up(...args: string[]): Running {
  const running = startMillhand(['up', ...args], { cwd: folder })
  started.push(running)
  return running
}

const pidsIn = (output: string) =>
  [...output.matchAll(/started \(process (\d+)\)/g)].map(([, pid]) => Number(pid))

test(
  'a folder with manifests is all that it needs; the other commands find it from the folder and those below',
  async () => {
    const running = up()
    await running.says(/^ready: 1 queue, 1 pool;/m)
    mkdirSync(join(folder, 'below'))
    const cwd = join(folder, 'below')
    const result = await millhand(['enqueue', 'tiny', 'succeeds', '{"a":1}', '--wait=30s'], { cwd })
    expect(JSON.parse(result.stdout)).toMatchObject({ input: { a: 1 } })
    expect((await millhand(['queues'], { cwd })).stdout).toMatch(/^default +tiny +0 +0 +0 +0 +0 +1/m)
    expect(running.stdout()).toMatch(/tiny-1 +ready after/)

    running.process.kill('SIGINT')
    const { code, stderr } = await running.ended
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringContaining('running jobs have up to 50s to end'),
    })
    for (const pid of pidsIn(running.stdout())) expect(isAlive(pid)).toBe(false)
    expect((await millhand(['queues'], { cwd })).stderr).toContain('no millhand up runs in this folder')
  },
  PATIENCE_MS,
)

test(
  'with --json every event is a line, from the Redis to the end',
  async () => {
    const running = up('--json', '-f', 'tiny.yaml')
    await running.says(/"kind":"ready"/)
    await millhand(['enqueue', 'tiny', 'succeeds', '--wait=30s'], { cwd: folder })
    running.process.kill('SIGTERM')
    const { stdout } = await running.ended
    const events = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const kinds = events.map(({ kind }) => kind)
    expect(kinds).toEqual(
      expect.arrayContaining([
        'redis-started',
        'queue-configured',
        'ready',
        'worker-ready',
        'stopping',
        'worker-stopped',
      ]),
    )
    expect(events.every(({ time }) => !Number.isNaN(Date.parse(time)))).toBe(true)
  },
  PATIENCE_MS,
)

test(
  'a job that runs at Ctrl-C is waited for; at the second Ctrl-C it goes back to the queue, and is there the next time',
  async () => {
    const running = up()
    await running.says(/^ready: /m)
    const begun = join(folder, 'begun')
    await millhand(
      ['enqueue', 'tiny', 'sleeps-forever', JSON.stringify({ started: begun }), '--id', 'long'],
      { cwd: folder },
    )
    await eventually(() => existsSync(begun) && readFileSync(begun, 'utf8').trim())
    running.process.kill('SIGINT')
    await running.says(/Ctrl-C again/)
    await running.says(/finishes its jobs/)
    expect(isAlive(pidsIn(running.stdout())[0] ?? 0)).toBe(true)
    await stopAtOnce(running)
    expect((await running.ended).code).toBe(0)
    for (const pid of pidsIn(running.stdout())) expect(isAlive(pid)).toBe(false)

    const again = up('--no-reload')
    await again.says(/^ready: /m)
    const { state, attempts } = JSON.parse(
      (await millhand(['job', 'tiny', 'long', '--json'], { cwd: folder })).stdout,
    )
    expect(['ready', 'held']).toContain(state)
    expect(attempts).toBeLessThanOrEqual(1)
  },
  PATIENCE_MS,
)

test(
  'what tasks write and why attempts fail is shown, and is obeyed by no terminal',
  async () => {
    const running = up()
    await running.says(/^ready: /m)
    await millhand(['enqueue', 'tiny', 'writes', '{"out":"hello \\u001b[31mred\\n"}', '--wait=30s'], {
      cwd: folder,
    })
    await millhand(
      ['enqueue', 'tiny', 'throws', '{"message":"no luck"}', '--max-attempts', '1', '--wait=30s'],
      { cwd: folder },
    )
    await running.says(/tiny-1 +\S+ {2}hello \\x1b\[31mred/)
    await running.says(/\(throws\), attempt 1: failed after \S+: TypeError: no luck/)
  },
  PATIENCE_MS,
)

test('what is wrong with the manifests is said with its place, and nothing is started', async () => {
  writeFileSync(join(folder, 'tiny.yaml'), manifest().replace('queues:', 'queus:'))
  const { code, stdout, stderr } = await up().ended
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
  expect(stderr).toMatch(/tiny\.yaml:\d+:\d+: .*queus/)
})

test(
  'two of them in one folder are refused',
  async () => {
    const running = up()
    await running.says(/^ready: /m)
    expect(await up().ended).toMatchObject({ code: 1, stderr: expect.stringContaining('runs already in') })
  },
  PATIENCE_MS,
)
