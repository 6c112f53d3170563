// Whatever answers where a Redis should be: clients, workers and the command line say in a sentence that it is none, in time, with bounded memory
// and connections, and go on. No error reaches nobody. The operator has a suite of its own (test/operator/hostile-redis).
import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { connect } from 'millhand/client'
import { type Ran, startMillhand } from '../cli/millhand.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { WorkerProcess } from '../worker-process.ts'
import { PERSONAS, personas } from './personas.ts'
import { oneOf, randomFrom } from './random.ts'
import { FORMS, HostileServer } from './server.ts'

const MB = 2 ** 20
const PATIENCE_MS = 120_000
const TINY = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
/** Random answers for each command and form; a soak has more. */
const RANDOM_ANSWERS = Number(process.env.MILLHAND_FUZZ_ANSWERS ?? 5)
const seed = Number(process.env.MILLHAND_FUZZ_SEED ?? randomInt(2 ** 31))

test(
  `no answer to any command in any form is an error that nobody catches (MILLHAND_FUZZ_SEED=${seed})`,
  async () => {
    const found = await play('fuzz-program.ts', [String(seed), String(RANDOM_ANSWERS)])
    expect(found).toMatchObject({ uncaught: 0, firstUncaught: [], strange: [], stillOpen: 0 })
    expect(found.done).toBe(found.cases)
    expect(Number(found.grownBytes)).toBeLessThan(600 * MB)
  },
  PATIENCE_MS,
)

test(
  'a client is told each time that nothing is known to be done, takes little and keeps nothing open',
  async () => {
    const { told, ...bounds } = await play('client-program.ts', [])
    const answers = Object.entries(told as Record<string, string>)
    expect(answers).toHaveLength(PERSONAS.length * FORMS.length)
    for (const [persona, said] of answers)
      expect([persona, said]).toEqual([persona, expect.stringMatching(EACH_TOLD)])
    expect(bounds).toMatchObject({ uncaught: [] })
    // One that the program had opened for itself may have been closed meanwhile.
    expect(Number(bounds.filesLeft)).toBeLessThanOrEqual(0)
    expect(Number(bounds.mostFiles)).toBeLessThan(300)
    expect(Number(bounds.mostBytes)).toBeLessThan(400 * MB)
  },
  PATIENCE_MS,
)
const EACH_TOLD =
  /^((RedisUnavailable|RedisDataInvalid|QueueRefused|ReplyError)\S* ){3}(RedisUnavailable|RedisDataInvalid|ReplyError|ResultTimeout)\S*$/

describe('a worker', () => {
  test(
    'outlives every persona without much memory, and works as soon as a Redis answers again',
    async () => {
      const real = new URL(redisUrl())
      const queue = 'hostile-worker'
      const server = await HostileServer.start(personas.garbage)
      server.become({ realPort: Number(real.port) })
      const worker = new WorkerProcess({
        redisUrl: server.urlFor('server'),
        queues: [queue],
        modules: [TINY],
        isolation: 'Spawn',
      })
      const client = connect({ redis: redisUrl(), namespace: 'test' })
      try {
        await worker.ready()
        for (const name of PERSONAS) await meet(server, name)
        server.become({ realPort: Number(real.port) })
        const handle = await client.queue(queue).enqueue('noop', null)
        await handle.result({ timeoutMs: 40_000 })
        expect(peakBytes(worker.pid)).toBeLessThan(400 * MB)
        expect(worker.stderr).toBe('')
        expect(await worker.stop()).toEqual({ code: 0, signal: null })
      } finally {
        worker.kill('SIGKILL')
        client.close()
        server.stop()
      }
    },
    PATIENCE_MS,
  )

  test.each(['sentinel', 'cluster'] as const)(
    'that looks for its Redis in the form %s goes on looking, and can be stopped',
    async (form) => {
      const server = await HostileServer.start(personas.garbage)
      const worker = new WorkerProcess({
        redisUrl: server.urlFor(form),
        queues: ['hostile'],
        modules: [TINY],
        isolation: 'Spawn',
      })
      try {
        await eventually(() => server.connections > 0, { withinMs: 30_000 })
        for (const name of PERSONAS) await meet(server, name)
        expect(peakBytes(worker.pid)).toBeLessThan(400 * MB)
        expect(openFiles(worker.pid)).toBeLessThan(50)
        expect(worker.stderr).toBe('')
        expect(await worker.stop()).toEqual({ code: 0, signal: null })
      } finally {
        worker.kill('SIGKILL')
        server.stop()
      }
    },
    PATIENCE_MS,
  )

  /** Until the worker has been told something by it. */
  async function meet(server: HostileServer, name: keyof typeof personas): Promise<void> {
    server.become(personas[name])
    const before = server.connections
    await eventually(() => server.connections > before, { what: `a connection to ${name}` })
    const heard = server.heard.length
    await eventually(() => server.heard.length > heard || server.open > 0, { what: `a word to ${name}` })
  }
})

describe('the command line', () => {
  const COMMANDS = [
    ['queues'],
    ['jobs', 'q'],
    ['job', 'q', 'some-id'],
    ['workers', 'q'],
    ['enqueue', 'q', 'task', '{}'],
    ['pause', 'q'],
    ['doctor', 'q'],
    ['doctor'],
  ]
  const random = randomFrom(seed)
  const drawn = PERSONAS.map((name) => ({ name, form: oneOf(random, FORMS), args: oneOf(random, COMMANDS) }))
  const always = [
    { name: 'a SCAN without end', form: 'server', args: ['queues'] },
    { name: 'a SCAN without end that finds nothing', form: 'server', args: ['queues'] },
    { name: 'an endless string', form: 'server', args: ['jobs', 'q'] },
    { name: '16,384 nodes', form: 'cluster', args: ['doctor'] },
  ] as const

  test(
    `says what is wrong in a sentence, and ends (MILLHAND_FUZZ_SEED=${seed})`,
    async () => {
      const cases = [...always, ...drawn].values()
      const lane = async () => {
        for (const { name, form, args } of cases) {
          const server = await HostileServer.start(personas[name])
          const { ran, peak } = await runAndWatch([...args, '--redis', server.urlFor(form)])
          server.stop()
          const what = `${name}, ${form}, ${args.join(' ')}: ${ran.stderr}${ran.stdout}`
          expect([what, ran.code]).toEqual([what, 1])
          expect([what, ran.stderr.trim().split('\n').length]).toEqual([what, 1])
          expect(what).not.toMatch(/^ {4}at |TypeError|undefined|NaN|\[object/m)
          expect(peak).toBeLessThan(500 * MB)
        }
      }
      await Promise.all([lane(), lane(), lane(), lane()])
    },
    PATIENCE_MS,
  )

  async function runAndWatch(args: readonly string[]): Promise<{ ran: Ran; peak: number }> {
    const running = startMillhand(args)
    let peak = 0
    const watching = setInterval(() => {
      peak = Math.max(peak, peakBytes(running.process.pid ?? 0))
    }, 50)
    running.process.stdin?.end()
    const ran = await running.ended
    clearInterval(watching)
    return { ran, peak }
  }
})

/** One that a test did not wait for would take a core from all tests after it. */
const playing = new Set<ChildProcess>()
afterEach(() => {
  for (const each of playing) each.kill('SIGKILL')
})

/** The one line that a program prints. */
async function play(program: string, args: readonly string[]): Promise<Record<string, unknown>> {
  const path = fileURLToPath(new URL(program, import.meta.url))
  const child = spawn(process.execPath, ['--conditions=millhand-source', path, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  playing.add(child)
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  playing.delete(child)
  expect([code, said]).toEqual([0, expect.stringMatching(/^\{.*\}\n$/)])
  return JSON.parse(said)
}

/** Of a process that has ended: none. */
function peakBytes(pid: number): number {
  return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(procFile(pid, 'status'))?.[1] ?? 0)
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

function procFile(pid: number, name: string): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8')
  } catch {
    return ''
  }
}
