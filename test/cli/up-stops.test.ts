// How `millhand up` ends in a real terminal, under npx and shells, and when nobody reads its output any more.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { eventually } from '../eventually.ts'
import { isAlive } from '../processes.ts'
import { redisUrl } from '../redis.ts'
import { MILLHAND, millhand, PATIENCE_MS, TINY_TASKS } from './millhand.ts'
import { openTerminal, type Terminal } from './terminal.ts'

const manifest = `
apiVersion: millhand.dev/v1beta1
kind: WorkerPool
metadata: { name: tiny }
spec:
  queues: [{ name: tiny }]
  isolation: { mode: Reuse }
  template: { spec: { containers: [{ name: worker, image: none, args: [${TINY_TASKS}] }] } }
`
let folder = ''
let end = () => {}
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millhand-cli-stops-'))
  writeFileSync(join(folder, 'tiny.yaml'), manifest)
  mkdirSync(join(folder, 'node_modules/.bin'), { recursive: true })
  symlinkSync(MILLHAND, join(folder, 'node_modules/.bin/millhand'))
})
afterEach(async () => {
  end()
  end = () => {}
  await eventually(() => !existsSync(join(folder, '.millhand/up.json')), { what: 'the end of up' })
  rmSync(folder, { recursive: true, force: true })
}, 2 * PATIENCE_MS)

const environment = () => ({
  ...process.env,
  PATH: [join(folder, 'node_modules/.bin'), dirname(process.execPath), process.env.PATH].join(':'),
  MILLHAND_REDIS_URL: redisUrl(),
  MILLHAND_NAMESPACE: namespace(),
  npm_config_update_notifier: 'false',
})
const namespace = () => folder.slice(-6).toLowerCase()
const upEntry = () => JSON.parse(readFileSync(join(folder, '.millhand/up.json'), 'utf8'))
const inFolder = () => ({
  cwd: folder,
  env: { MILLHAND_REDIS_URL: redisUrl(), MILLHAND_NAMESPACE: namespace() },
})
const go = () => join(folder, 'go')
const job = async (id = 'long') => {
  const { stdout } = await millhand(['job', 'tiny', id, '--json'], inFolder())
  return stdout === '' ? undefined : JSON.parse(stdout)
}

/** `up` by this command line, in a terminal, with a running job that ends when told. */
async function startWithJob(
  command: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ at: Terminal; up: number }> {
  const terminal = openTerminal(command, { cwd: folder, env: { ...environment(), ...env } })
  end = terminal.close
  const up = await eventually(() => upEntry().redisUrl && upEntry().pid, {
    what: `${command} is ready`,
    withinMs: 30_000,
  })
  const input = JSON.stringify({ started: join(folder, 'begun'), file: go() })
  await millhand(['enqueue', 'tiny', 'waits-for-file', input, '--id', 'long'], inFolder())
  await eventually(() => existsSync(join(folder, 'begun')), { what: 'the job runs', withinMs: 30_000 })
  return { at: terminal, up }
}

async function endsWell(up: number): Promise<void> {
  writeFileSync(go(), '')
  await eventually(() => !isAlive(up), { what: 'the end of up', withinMs: 30_000 })
  expect(await job()).toMatchObject({ state: 'completed', attempts: 1, failures: [] })
}

test(
  'npx in a shell that passes Ctrl-C on: the first lets the job end, the second, a moment later, hands it back',
  async () => {
    const { at, up } = await startWithJob('npx millhand up', { npm_config_script_shell: '/bin/bash' })
    at.pressCtrlC()
    await at.says(/finishes its jobs/)
    expect(await job()).toMatchObject({ state: 'held' })
    expect(at.text()).not.toContain('stopping now')
    const pressed = () => {
      at.pressCtrlC()
      return at.text().includes('stopping now')
    }
    // Not faster than a person: presses that come together are one.
    await eventually(pressed, { what: 'the second press', withinMs: 30_000, everyMs: 1_000 })
    await eventually(() => !isAlive(up), { what: 'the end of up', withinMs: 30_000 })
    expect(await job()).toMatchObject({ state: 'ready', attempts: 0, failures: [] })
  },
  2 * PATIENCE_MS,
)

test.each([
  ['tee, which Ctrl-C ends first', "bash -c 'millhand up 2> >(true) | tee up.log'"],
  ['a full disk', "bash -c 'millhand up > /dev/full 2>&1'"],
])(
  'output read by %s: Ctrl-C lets the job end',
  async (_, command) => {
    const { at, up } = await startWithJob(command)
    at.pressCtrlC()
    await endsWell(up)
  },
  2 * PATIENCE_MS,
)

test(
  'a terminal that is closed is a request to stop: the job ends',
  async () => {
    const { at, up } = await startWithJob('millhand up')
    at.close()
    await at.ended
    await endsWell(up)
  },
  2 * PATIENCE_MS,
)

test(
  'output that nobody reads is dropped and counted, and keeps up neither from its work nor from its end',
  async () => {
    const up = spawn(process.execPath, [MILLHAND, 'up'], {
      cwd: folder,
      env: environment(),
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    end = () => up.kill('SIGKILL')
    await eventually(() => upEntry().redisUrl, { what: 'up is ready', withinMs: 30_000 })
    const flood = await millhand(
      ['enqueue', 'tiny', 'floods-stdout', '--max-attempts=1', '--wait=60s'],
      inFolder(),
    )
    expect(flood.stderr).toContain('16')
    let said = ''
    up.stdout.on('data', (chunk) => (said += chunk))
    await eventually(() => said.length > 1_000_000)
    await millhand(['enqueue', 'tiny', 'writes', '{"out":"and on"}', '--wait=30s'], inFolder())
    await eventually(() => /dropped \d+ lines: nobody reads the output\n.*/.test(said), { what: 'a count' })
    up.stdout.pause()
    up.kill('SIGTERM')
    await eventually(() => up.exitCode !== null, { what: 'the end of up', withinMs: 30_000 })
    expect(up.exitCode).toBe(0)
    up.stdout.destroy()
  },
  2 * PATIENCE_MS,
)
