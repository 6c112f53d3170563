// The example and its demo, run as a newcomer runs them. TMPDIR is a folder of each test's own: what is in it afterwards was left behind.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { isListening } from '../cli/local/listening.ts'
import { MILLHAND, PATIENCE_MS, startMillhand, stopAtOnce } from '../cli/millhand.ts'
import { eventually } from '../eventually.ts'
import { allPids, isAlive, procText } from '../processes.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const EXAMPLE = join(ROOT, 'examples', 'thumbnails')
const CHAOS_PATIENCE_MS = 180_000
const PHOTOS = ['astronaut', 'chelsea', 'coffee', 'hubble_deep_field', 'rocket']
let folder = ''
let out = ''
let scratch = ''
const demos: Demo[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'millhand-example-'))
  out = join(folder, 'out')
  scratch = join(folder, 'tmp')
  mkdirSync(scratch)
})
afterEach(async () => {
  for (const demo of demos.splice(0)) {
    demo.process.kill('SIGINT')
    await demo.ended
  }
  rmSync(folder, { recursive: true, force: true })
}, PATIENCE_MS)

interface Demo {
  process: ChildProcess
  output(): string
  /** The exit code; also when it was ended by a signal, as a shell tells it. */
  ended: Promise<number | null>
}

function start(file: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Demo {
  // A group of its own, so that a signal can be sent to all of it, as Ctrl-C in a terminal does.
  const demo = spawn(file, args, {
    cwd: ROOT,
    detached: true,
    env: { ...process.env, TMPDIR: scratch, ...env },
  })
  let output = ''
  for (const stream of [demo.stdout, demo.stderr])
    stream.on('data', (chunk) => {
      output += chunk
    })
  const started: Demo = {
    process: demo,
    output: () => output,
    ended: new Promise((resolve) => demo.on('close', (code) => resolve(code))),
  }
  demos.push(started)
  return started
}

const startDemo = (...args: string[]): Demo =>
  start(process.execPath, ['--conditions=millhand-source', join(EXAMPLE, 'demo.js'), '--out', out, ...args])

async function expectNothingLeft(output: string): Promise<void> {
  // npm has a cache of its own there.
  expect(readdirSync(scratch).filter((name) => name !== 'node-compile-cache')).toEqual([])
  if (existsSync(out)) expect(readdirSync(out).filter((name) => !name.endsWith('.webp'))).toEqual([])
  // A child hears from the kernel that its worker has ended.
  await eventually(() => processesOf(out).length === 0, { what: 'the end of all processes' })
  for (const [, pid] of output.matchAll(/process (\d+)/g)) expect(isAlive(Number(pid))).toBe(false)
  for (const [, port] of output.matchAll(/runs at redis:\/\/127\.0\.0\.1:(\d+)/g))
    expect(await isListening(Number(port))).toBe(false)
}

/** Workers and their children have the output folder in their environment. Where there is no /proc, none is found. */
function processesOf(text: string): number[] {
  return allPids().filter((pid) => pid !== process.pid && procText(pid, 'environ').includes(text))
}

test(
  'npm run demo makes every thumbnail, says where they are, and leaves nothing else behind; also the second time',
  async () => {
    for (const _ of ['first', 'second']) {
      const demo = start('npm', ['run', 'demo', '--', '--out', out])
      expect({ code: await demo.ended, output: demo.output() }).toMatchObject({ code: 0 })
      expect(demo.output()).toMatch(/20 of 20 jobs completed in [\d.]+ s/)
      expect(demo.output()).toContain(`the thumbnails are in ${out}`)
      for (const photo of PHOTOS)
        for (const width of [80, 160, 240, 320])
          expect(await sharp(join(out, `${photo}-${width}.webp`)).metadata()).toMatchObject({
            format: 'webp',
            width,
          })
      await expectNothingLeft(demo.output())
    }
  },
  PATIENCE_MS,
)

test(
  'with --chaos nothing is lost although workers and children are killed',
  async () => {
    const demo = startDemo('--chaos', '--times', '4')
    expect({ code: await demo.ended, output: demo.output() }).toMatchObject({ code: 0 })
    expect(demo.output()).toMatch(/killed with SIGKILL: [1-9]\d* workers, [1-9]\d* children/)
    expect(demo.output()).toMatch(/80 of 80 jobs completed/)
    expect(demo.output()).toContain('nothing is missing')
    expect(readdirSync(out)).toHaveLength(80)
    await expectNothingLeft(demo.output())
  },
  CHAOS_PATIENCE_MS,
)

test.each([
  ['while it starts', /runs at redis/],
  ['when jobs wait', /jobs enqueued/],
  ['while jobs run', /[1-9]\d* running/],
])(
  'Ctrl-C %s leaves no process, port or file behind',
  async (_, moment) => {
    const demo = startDemo('--times', '20')
    await eventually(() => moment.test(demo.output()), { withinMs: 30_000 }).catch((error: Error) => {
      throw new Error(`${error.message}; the demo said:\n${demo.output()}`)
    })
    process.kill(-(demo.process.pid ?? 0), 'SIGINT')
    expect({ code: await demo.ended, output: demo.output() }).toMatchObject({ code: 130 })
    await expectNothingLeft(demo.output())
  },
  PATIENCE_MS,
)

test('the demo explains itself, and refuses what it does not know', async () => {
  const [help, wrong] = [startDemo('--help'), startDemo('--chaso')]
  expect(await help.ended).toBe(0)
  expect(help.output()).toMatch(/--chaos[\s\S]*Examples:/)
  expect(await wrong.ended).toBe(2)
  expect(wrong.output()).toMatch(/^demo: .*--chaso/)
})

test(
  'the commands of the README do what it says',
  async () => {
    const readme = readFileSync(join(EXAMPLE, 'README.md'), 'utf8')
    const [up = '', ...commands] = [...readme.matchAll(/^npx (millhand .*)$/gm)].map(
      ([, command = '']) => command,
    )
    const running = startMillhand(up.replace('examples/thumbnails', EXAMPLE).split(' ').slice(1), {
      cwd: folder,
    })
    try {
      await running.says(/^ready: /m)
      const answers: { code: number | null; output: string }[] = []
      for (const command of commands) {
        const shell = spawn(
          'sh',
          ['-c', command.replace('millhand', `"${process.execPath}" "${MILLHAND}"`)],
          { cwd: folder },
        )
        let output = ''
        for (const stream of [shell.stdout, shell.stderr])
          stream.on('data', (chunk) => {
            output += chunk
          })
        const code = await new Promise<number | null>((resolve) => shell.on('close', resolve))
        answers.push({ code, output })
      }
      const [made, queues, refused, buried] = answers
      expect(made).toMatchObject({ code: 0, output: expect.stringContaining('"width": 200') })
      expect(await sharp(join(folder, 'thumbnails-out', 'cat.webp')).metadata()).toMatchObject({ width: 200 })
      expect(queues).toMatchObject({
        code: 0,
        output: expect.stringMatching(/default +thumbnails +0 +0 +0 +0 +0 +1/),
      })
      expect(refused).toMatchObject({
        code: 1,
        output: expect.stringMatching(/TerminalError: .*etc\/passwd is not below/),
      })
      expect(buried).toMatchObject({ code: 0, output: expect.stringMatching(/^buried .* thumbnail /m) })
    } finally {
      await stopAtOnce(running)
    }
  },
  PATIENCE_MS,
)
