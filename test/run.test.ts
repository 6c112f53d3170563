import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from './eventually.ts'
import { isAlive, sendSignal } from './processes.ts'

const RUN = fileURLToPath(new URL('./run.ts', import.meta.url))
const CONFIG = fileURLToPath(new URL('./fixtures/suites/jest.config.js', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'run-'))

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function play(suites: readonly string[], variables: Record<string, string>) {
  const node = ['--conditions=millhand-source', '--disable-warning=ExperimentalWarning']
  const paths = suites.map((name) => `test/fixtures/suites/${name}.suite.ts`)
  const run = spawn(process.execPath, [...node, RUN, `--config=${CONFIG}`, ...paths], {
    env: { ...process.env, CI: '', TMPDIR: folder, ...variables },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  run.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const ended = new Promise<{ code: number | null; output: string }>((resolve) =>
    run.once('close', (code) => resolve({ code, output })),
  )
  return { run, ended }
}

test('where CI is set, a suite that passes when it runs once more is told as flaky, with its seed, and stops nothing', async () => {
  const variables = { CI: 'true', FAILED_ONCE: join(folder, 'failed-once') }
  const { code, output } = await play(['passes', 'fails-at-first'], variables).ended
  const flaky = 'FLAKY test/fixtures/suites/fails-at-first.suite.ts, passes when it runs again, seed -42'
  expect(output.trim().split('\n').slice(-2)).toEqual([flaky, '2 passed, 0 failed, 1 skipped'])
  expect(code).toBe(0)
})

test('a suite that fails twice fails the run', async () => {
  const { code, output } = await play(['passes', 'fails'], { CI: 'true' }).ended
  expect(output.trim().split('\n').at(-1)).toBe('1 passed, 1 failed, 1 skipped')
  expect(output).not.toContain('FLAKY')
  expect(code).toBe(1)
})

test('without CI nothing runs twice', async () => {
  const variables = { FAILED_ONCE: join(folder, 'failed-without-ci') }
  const { code, output } = await play(['fails-at-first'], variables).ended
  expect(output.trim().split('\n').at(-1)).toBe('0 passed, 1 failed, 0 skipped')
  expect(code).toBe(1)
})

test('a suite that leaves a server open is told as what it is, and the run ends', async () => {
  const { code, output } = await play(['hangs'], {}).ended
  expect(output.trim().split('\n').at(-1)).toBe('1 passed, 0 failed, 0 skipped')
  expect(code).toBe(0)
}, 90_000)

/** The pids of what the suite started, and of the process that plays it. */
async function waiting(
  name: string,
): Promise<{ run: ChildProcess; started: number[]; ended: Promise<unknown> }> {
  const file = join(folder, name)
  const { run, ended } = play(['waits'], { STARTED: file })
  await eventually(() => existsSync(file) && readFileSync(file, 'utf8') !== '', { what: 'the suite to wait' })
  return { run, started: readFileSync(file, 'utf8').split(' ').map(Number), ended }
}

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s to the first process alone ends everything that the tests started',
  async (signal) => {
    const { run, started, ended } = await waiting(signal)
    run.kill(signal)
    await ended
    expect(started.filter(isAlive)).toEqual([])
  },
)

test('so does the death of the first process', async () => {
  const { run, started } = await waiting('killed')
  sendSignal(run.pid!, 'SIGKILL')
  await eventually(() => started.every((pid) => !isAlive(pid)), { what: 'the end of all' })
})

test('another jest that a test starts does not write over the results of the run, which would end it', () => {
  expect(process.env.MILLHAND_TEST_RESULTS).toBeUndefined()
})
