// Tiny tasks, each named for what it does. Tests load this file into real children.
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, write, writeFileSync, writeSync } from 'node:fs'
import { HandOver, type RestOf, RetryAfter, TerminalError, task } from '../../worker-runtime/src/index.ts'
import { frame } from './frame.ts'

const never = new Promise<never>(() => {})
const busyLoop = () => {
  for (;;);
}
const tell = (file: string | undefined, text: string) => file && writeFileSync(file, text, { flag: 'a' })

export const succeeds = task('succeeds', async (input: unknown, job) => ({
  input,
  id: job.id,
  attempt: job.attempt,
}))
export const hasDefault = task('has-default', ({ n = 1 }: { n?: number } = {}) => n)
export const noop = task('noop', () => {})
export const tellsSchedule = task('tells-schedule', (_: unknown, job) => job.schedule)
export const returnsNothing = task('returns-nothing', async () => undefined)
export const throws = task('throws', async ({ message }: { message: string }) => {
  throw Object.assign(new TypeError(message, { cause: new Error('the root of it') }), { code: 'E_TINY' })
})
export const throwsTerminal = task('throws-terminal', async () => {
  throw new TerminalError('never again')
})
export const throwsValue = task('throws-value', async ({ value }: { value: unknown }) => {
  throw value
})
export const throwsHostile = task('throws-hostile', async () => {
  throw new Proxy(new Error('x'), {
    get() {
      throw new Error('hostile getter')
    },
  })
})
export const throwsHuge = task('throws-huge', async () => {
  throw new Error('x'.repeat(50_000_000))
})
export const sleeps = task(
  'sleeps',
  ({ ms }: { ms: number }) => new Promise((done) => setTimeout(done, ms, 'slept')),
)
export const sleepsForever = task('sleeps-forever', async (input: { started?: string } | null) => {
  tell(input?.started, `${process.pid}\n`)
  return never
})
export const waitsForFile = task(
  'waits-for-file',
  async ({ started, file }: { started: string; file: string }) => {
    tell(started, `${process.pid}\n`)
    while (!existsSync(file)) await new Promise((done) => setTimeout(done, 20))
    return 'it is there'
  },
)
export const obeysAbort = task(
  'obeys-abort',
  async (input: { started?: string; fails?: boolean } | null, job) => {
    const { signal } = job
    tell(input?.started, `${process.pid}\n`)
    await new Promise((aborted) => signal.addEventListener('abort', aborted))
    if (input?.fails) signal.throwIfAborted()
    return `aborted: ${signal.reason.message}`
  },
)
export const ignoresSigterm = task('ignores-sigterm', async ({ started }: { started: string }) => {
  process.removeAllListeners('SIGTERM')
  process.on('SIGTERM', () => {})
  tell(started, `${process.pid}\n`)
  return never
})
export const forksTwice = task(
  'forks-twice',
  async ({ started, after }: { started: string; after?: 'return' | 'busy-loop' }) => {
    const script = `trap '' TERM; (trap '' TERM; echo $$ >> ${started}; sleep 600) & echo $! >> ${started}; sleep 600`
    spawn('sh', ['-c', script], { stdio: 'ignore' })
    process.on('SIGTERM', () => {})
    tell(started, `${process.pid}\n`)
    if (after === 'return') {
      const { readFileSync } = await import('node:fs')
      while (readFileSync(started, 'utf8').split('\n').length < 4)
        await new Promise((done) => setTimeout(done, 5))
      return 'left them behind'
    }
    if (after === 'busy-loop') {
      const { readFileSync } = await import('node:fs')
      while (readFileSync(started, 'utf8').split('\n').length < 4)
        await new Promise((done) => setTimeout(done, 5))
      busyLoop()
    }
    return never
  },
)
export const busyLoops = task('busy-loops', async (input: { started?: string } | null) => {
  tell(input?.started, `${process.pid}\n`)
  busyLoop()
})
export const exits = task('exits', async ({ code }: { code: number }) => {
  process.exit(code)
})
export const aborts = task('aborts', async () => process.abort())
export const killsItself = task('kills-itself', async ({ signal }: { signal: NodeJS.Signals }) => {
  process.kill(process.pid, signal)
  return never
})
export const stopsItself = task('stops-itself', async ({ started }: { started: string }) => {
  tell(started, `${process.pid}\n`)
  process.kill(process.pid, 'SIGSTOP')
  return never
})
export const heapOom = task('heap-oom', async () => {
  const kept: unknown[] = []
  for (;;) kept.push(new Array(10_000).fill({ x: kept.length }))
})
/** On the heap, so that the limit of V8 is met. */
export const needsMemory = task(
  'needs-memory',
  async ({ megabytes, thenMs = 0 }: { megabytes: number; thenMs?: number }, job) => {
    const begunBy = await job.step('begin', () => job.attempt)
    const kept = Array.from({ length: megabytes }, (_, n) => new Array(2 ** 17).fill(n + 0.5))
    await new Promise((done) => setTimeout(done, thenMs))
    return { id: job.id, attempt: job.attempt, megabytes: kept.length, begunBy }
  },
)
export const eatsMemory = task('eats-memory', async ({ megabytes }: { megabytes: number }) => {
  const kept: Buffer[] = []
  for (let count = 0; count < megabytes; count += 10) {
    kept.push(Buffer.alloc(10 * 2 ** 20, 1))
    await new Promise((done) => setTimeout(done, 5))
  }
  await new Promise((done) => setTimeout(done, 3_000))
  return kept.length
})
export const startsOneThatEatsMemory = task(
  'starts-one-that-eats-memory',
  ({ megabytes }: { megabytes: number }) => {
    const script = `Buffer.alloc(${megabytes} * 2 ** 20, 1); setTimeout(() => {}, 60_000)`
    spawn(process.execPath, ['--eval', `globalThis.kept = ${script}`], { detached: true, stdio: 'ignore' })
    return never
  },
)
export const unhandledRejection = task(
  'unhandled-rejection',
  async ({ afterMs = 0 }: { afterMs?: number }) => {
    setTimeout(() => void Promise.reject(new Error('nobody caught me')), afterMs)
    return never
  },
)
export const uncaughtException = task('uncaught-exception', async () => {
  setTimeout(() => {
    throw new Error('thrown from a timer')
  }, 1)
  return never
})
export const lateRejection = task('late-rejection', async () => {
  setTimeout(() => void Promise.reject(new Error('too late')), 20)
  return 'done'
})
export const hugeResult = task('huge-result', async ({ bytes }: { bytes: number }) => 'x'.repeat(bytes))
export const circularResult = task('circular-result', async () => {
  const circle: Record<string, unknown> = {}
  circle.self = circle
  return circle
})
export const worksInVain = task(
  'works-in-vain',
  async ({ started, returns }: { started: string; returns: keyof typeof NO_RESULTS }) => {
    tell(started, `${process.pid}\n`)
    return NO_RESULTS[returns]()
  },
)
const NO_RESULTS = {
  bigint: () => 10n,
  circle: () => {
    const circle: Record<string, unknown> = {}
    circle.self = circle
    return circle
  },
  function: () => () => {},
  symbol: () => Symbol('s'),
  huge: () => 'x'.repeat(2 ** 21),
}
class CardDeclined extends Error {}
export const declines = task('declines', async ({ port }: { port: number }) => {
  const cause = await fetch(`http://127.0.0.1:${port}`).catch((error) => error)
  throw new CardDeclined('m'.repeat(10_000), { cause })
})
export const bigIntResult = task('bigint-result', async () => 10n)
export const writes = task('writes', async ({ out = '', err = '' }: { out?: string; err?: string }) => {
  process.stdout.write(out)
  process.stderr.write(err)
})
export const writesLate = task(
  'writes-late',
  async ({ by, text, afterMs }: { by: keyof typeof WAYS; text: string; afterMs: number }) => {
    setTimeout(() => WAYS[by](`${text}\n`), afterMs)
  },
)
export const writesBy = task(
  'writes-by',
  async ({ by, text, forMs }: { by: keyof typeof WAYS; text: string; forMs: number }) => {
    WAYS[by](`${text}\n`)
    await new Promise((done) => setTimeout(done, forMs))
  },
)
const WAYS = {
  console: (text: string) => console.log(text.trimEnd()),
  stream: (text: string) => process.stderr.write(text),
  writeSync: (text: string) => writeSync(1, text),
  write: (text: string) => write(2, Buffer.from(`__${text}`), 2, () => {}),
  process: (text: string) => spawn('echo', [text.trimEnd()], { stdio: 'inherit' }),
}
/** Returns, and then does something in the next turn of the loop, before the process can end. */
export const goesOn = task('goes-on', ({ how, file }: { how: keyof typeof LATER; file?: string }) => {
  setImmediate(() => LATER[how](file))
  return { pid: process.pid, isFileThere: file !== undefined && existsSync(file) }
})
const LATER = {
  nothing: (_file: string | undefined) => {},
  'blocks-and-tells': (file: string | undefined) => {
    for (const untilMs = performance.now() + 400; performance.now() < untilMs; );
    tell(file, 'done')
  },
  'blocks-for-ever': busyLoop,
  writes: () => process.stdout.write('one\ntwo'),
  exits: () => process.exit(3),
  throws: () => {
    throw new Error('after the result')
  },
  'kills-itself': () => process.kill(process.pid, 'SIGKILL'),
  'eats-memory': () => void eatsMemory.run({ megabytes: 400 }, {} as never),
  'breaks-the-protocol': () => RAW.garbage(),
}
export const burns = task('burns', ({ cpuMs }: { cpuMs: number }) => {
  const before = process.cpuUsage()
  while (process.cpuUsage(before).user < cpuMs * 1000);
})
export const runsEcho = task('runs-echo', ({ text }: { text: string }) => {
  spawnSync('echo', [text], { stdio: 'inherit' })
})
export const countsAloud = task(
  'counts-aloud',
  async ({ lines, everyMs = 0, fails = false }: { lines: number; everyMs?: number; fails?: boolean }) => {
    for (let n = 1; n <= lines; n += 1) {
      process[n % 5 === 0 ? 'stderr' : 'stdout'].write(`line ${n}\n`)
      if (everyMs > 0) await new Promise((resolve) => setTimeout(resolve, everyMs))
    }
    if (fails) throw new Error('counted in vain')
  },
)
/** A line each time, in turn, and never ends. */
export const repeats = task('repeats', async ({ lines }: { lines: string[] }) => {
  for (let n = 0; ; n += 1) {
    process.stdout.write(`${lines[n % lines.length]}\n`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
})
export const logs = task('logs', async ({ text }: { text: string }, job) => job.log(text, { a: 1 }))
export const floodsStdout = task('floods-stdout', async () => {
  const line = `${'y'.repeat(1023)}\n`
  for (;;) process.stdout.write(line)
})
export const progresses = task('progresses', async ({ steps }: { steps: number }, job) => {
  for (let step = 1; step <= steps; step += 1) void job.progress(step / steps)
  return 'done'
})
export const awaitsProgress = task('awaits-progress', async ({ values }: { values: number }, job) => {
  await Promise.all(Array.from({ length: values }, (_, at) => job.progress(at + 1)))
  await job.progress('last')
  return 'all were told'
})
export const awaitsProgressTooLate = task('awaits-progress-too-late', (_: unknown, job) => {
  job.progress(1).catch(({ code }) => process.stdout.write(`${code}\n`))
})
export const tellsHeaders = task('tells-headers', (_: unknown, job) => job.headers)
/** Says what it heard first. */
export const handsOver = task('hands-over', async (_: unknown, job) => {
  job.log('waits')
  await new Promise((heard) => {
    if (job.draining.aborted) heard(true)
    job.draining.addEventListener('abort', heard)
    job.signal.addEventListener('abort', heard)
  })
  if (job.draining.aborted && !job.signal.aborted) throw new HandOver()
  return 'was not drained'
})
export const handsOverAtOnce = task('hands-over-at-once', () => {
  throw new HandOver()
})
export const asksForRest = task('asks-for-rest', ({ ms, pause }: { ms: number; pause: RestOf }) => {
  throw new RetryAfter(ms, { pause })
})
export const takesSteps = task('takes-steps', async ({ names }: { names: string[] }, job) => {
  const values: unknown[] = []
  for (const name of names)
    values.push(await job.step(name, () => ({ name, of: job.attempt, on: new Date(0) })))
  return values
})
export const sharesStepName = task('shares-step-name', async (_: unknown, job) => {
  await job.step('a', () => 1)
  await job.step('a', () => 2)
})
export const retriesStep = task('retries-step', async (_: unknown, job) => {
  await job.step('a', () => Promise.reject(new Error('not yet'))).catch(() => {})
  return job.step('a', () => 'now')
})
export const savesTooMuch = task('saves-too-much', async ({ bytes }: { bytes: number }, job) => {
  await job.step('large', () => 'x'.repeat(bytes))
})
export const checkpoints = task('checkpoints', async ({ value }: { value: unknown }, job) => {
  const before = await job.lastCheckpoint()
  await job.checkpoint(value)
  return [before ?? null, await job.lastCheckpoint()]
})
export const doesNotAwaitCheckpoint = task('does-not-await-checkpoint', (_: unknown, job) => {
  void job.checkpoint(1)
})
export const progressTooLarge = task('progress-too-large', async (_: unknown, job) => {
  await job.progress('x'.repeat(5_000))
})
export const tellsChild = task('tells-child', async () => process.pid)
export const tellsEnvironment = task('tells-environment', async () => ({
  env: { ...process.env },
  argv: process.argv.slice(2),
  oomScore: (await import('node:fs')).readFileSync('/proc/self/oom_score_adj', 'utf8').trim(),
}))
export const polluted = task('polluted', async (input: unknown) => ({
  polluted: ({} as { polluted?: unknown }).polluted ?? null,
  input,
}))
/** Speaks on the message channel itself. */
export const sendsRaw = task('sends-raw', async ({ raw }: { raw: keyof typeof RAW }) => {
  RAW[raw]()
  return never
})
const RAW = {
  garbage: () => writeSync(3, Buffer.alloc(64, 0xff)),
  'unknown-kind': () => writeSync(3, frame(99, '{}\n')),
  'not-json': () => writeSync(3, frame(22, 'not json\n')),
  'no-line': () => writeSync(3, frame(22, '{"id":1}')),
  'no-id': () => writeSync(3, frame(22, '{}\n')),
  'an-array': () => writeSync(3, frame(19, '[1]\n')),
  'kind-of-the-worker': () => writeSync(3, frame(2, '{"id":1}\n{}')),
  'too-long': () => {
    const head = Buffer.alloc(5)
    head.writeUInt32BE(100 * 2 ** 20)
    head.writeUInt8(22, 4)
    writeSync(3, head)
    const megabyte = Buffer.alloc(2 ** 20, 'x')
    for (let count = 0; count < 100; count += 1) writeAll(megabyte)
  },
  'progress-flood': () => {
    const many = Buffer.concat(Array(500).fill(frame(19, '{"id":1}\n1')))
    const large = Buffer.concat(Array(20).fill(frame(19, `{"id":1}\n"${'p'.repeat(4000)}"`)))
    for (;;) {
      writeAll(many)
      writeAll(large)
    }
  },
}
function writeAll(bytes: Buffer): void {
  for (let sent = 0; sent < bytes.length; ) {
    try {
      sent += writeSync(3, bytes, sent)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
    }
  }
}
