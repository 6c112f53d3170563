import { readdirSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import type { Outcome } from '../../../worker-runtime/src/child/outcome.ts'
import { eventually } from '../../eventually.ts'
import { childrenOf, isAlive, procText } from '../../processes.ts'
import { allGone, pidFile, resultOf, startTiny, type Tiny } from './tiny-children.ts'

jest.setTimeout(60_000) // real processes, on a machine that may be busy

const MEGABYTE = 2 ** 20
const ALLOWED_GROWTH_BYTES = 64 * MEGABYTE

describe.each(['Spawn', 'Fork'] as const)('with %s', (mode) => {
  let tiny: Tiny
  let file: ReturnType<typeof pidFile>
  beforeAll(async () => {
    tiny = await startTiny(mode)
  })
  afterAll(() => tiny.stop())
  beforeEach(() => {
    file = pidFile()
  })
  afterEach(() => file.remove())

  test('the tasks of the modules are known when the children have started', () => {
    expect({ mode: tiny.mode, note: tiny.note }).toEqual({ mode, note: '' })
    expect(tiny.tasks).toEqual(expect.arrayContaining(['succeeds', 'throws', 'forks-twice']))
  })

  test('a job gets its input and its facts, and its result comes back as JSON text', async () => {
    const outcome = await tiny.perform('succeeds', { a: ['☃', 1] }, { jobId: 'j7', attempt: 3 })
    expect(resultOf(outcome)).toEqual({ input: { a: ['☃', 1] }, id: 'j7', attempt: 3 })
    expect(outcome.facts).toEqual({
      startedAtMs: expect.any(Number),
      durationMs: expect.any(Number),
      maxRssBytes: expect.any(Number),
      cpuUserMs: expect.any(Number),
      cpuSystemMs: expect.any(Number),
    })
    expect(Math.abs(outcome.facts.startedAtMs - Date.now())).toBeLessThan(60_000)
    expect(outcome.facts.maxRssBytes).toBeGreaterThan(10 * MEGABYTE)
  })

  test('every job has a process of its own, and it goes when the outcome is there', async () => {
    const outcomes = await Promise.all(Array.from({ length: 6 }, () => tiny.perform('tells-child')))
    const pids = outcomes.map(resultOf) as number[]
    expect(new Set(pids).size).toBe(6)
    await allGone(pids)
  })

  test('a child has the environment it was given, no arguments, and goes first when memory is short', async () => {
    const { env, argv, oomScore } = resultOf(await tiny.perform('tells-environment')) as Record<
      string,
      object
    >
    expect(Object.keys(env ?? {})).toEqual(['PATH'])
    expect(argv).toEqual([])
    expect(Number(oomScore)).toBeGreaterThan(500)
  })

  test('a task that returns nothing has the result null', async () => {
    expect(resultOf(await tiny.perform('returns-nothing'))).toBeNull()
  })

  test('an error is copied field by field', async () => {
    expect(await tiny.perform('throws', { message: 'too bad' })).toMatchObject({
      kind: 'failed',
      terminal: false,
      error: {
        name: 'TypeError',
        message: 'too bad',
        code: 'E_TINY',
        stack: expect.stringMatching(/tiny\.ts[\s\S]*caused by: Error: the root of it/),
      },
    })
  })

  test.each<[string, unknown, object]>([
    ['throws-terminal', null, { terminal: true, error: { name: 'TerminalError', message: 'never again' } }],
    ['throws-value', { value: 'text' }, { error: { name: 'Error', message: 'text' } }],
    ['throws-value', { value: null }, { error: { message: 'null was thrown' } }],
    [
      'throws-hostile',
      null,
      { error: { name: 'Error', message: 'a value that is no Error was thrown: a Proxy' } },
    ],
    ['throws-huge', null, { error: { message: 'x'.repeat(4096) } }],
    ['circular-result', null, { terminal: true, error: { message: expect.stringContaining('circular') } }],
    ['bigint-result', null, { terminal: true, error: { message: expect.stringContaining('BigInt') } }],
    ['progress-too-large', null, { error: { message: expect.stringContaining('progress of 5002 bytes') } }],
    ['unhandled-rejection', {}, { error: { message: 'nobody caught me' } }],
    ['uncaught-exception', null, { error: { message: 'thrown from a timer' } }],
    [
      'no-such-task',
      null,
      { error: { name: 'UnknownTask', message: expect.stringContaining('"no-such-task"') } },
    ],
    ['constructor', null, { error: { name: 'UnknownTask' } }],
    ['__proto__', null, { error: { name: 'UnknownTask' } }],
  ])('%s of %p fails with its own error', async (task, input, failure) => {
    expect(await tiny.perform(task, input)).toMatchObject({ kind: 'failed', terminal: false, ...failure })
  })

  test.each([
    ['{', /not JSON/],
    ['{"__proto__":{"polluted":"yes"}}', /__proto__/],
    ['['.repeat(100_000) + ']'.repeat(100_000), /nests deeper/],
    ['\u0000', /not JSON/],
  ])('the hostile payload %.30p fails with a sentence', async (payload, message) => {
    const outcome = await tiny.perform('polluted', null, { payload })
    expect(outcome).toMatchObject({ kind: 'failed', error: { message: expect.stringMatching(message) } })
  })

  test('hostile text passes through unchanged', async () => {
    const input = {
      constructor: '../../x',
      text: '\r\n\u001b[31m\u0000"\\',
      lone: '\ud800',
      long: 'é'.repeat(9_999),
    }
    expect(resultOf(await tiny.perform('polluted', input))).toEqual({ polluted: null, input })
  })

  test.each([
    ['exits', { code: 0 }, { kind: 'exited', facts: { exitCode: 0 } }],
    ['exits', { code: 7 }, { kind: 'exited', facts: { exitCode: 7 } }],
    ['aborts', null, { kind: 'killed', facts: { signal: 'SIGABRT' } }],
    ['kills-itself', { signal: 'SIGKILL' }, { kind: 'killed', facts: { signal: 'SIGKILL' } }],
    ['kills-itself', { signal: 'SIGSEGV' }, { kind: 'killed', facts: { signal: 'SIGSEGV' } }],
  ])('%s of %p is told apart from a failure', async (task, input, outcome) => {
    expect(await tiny.perform(task, input)).toMatchObject(outcome)
  })

  test('a child that is killed in the middle of a job is noticed, and its neighbour goes on', async () => {
    const neighbour = tiny.begin('sleeps', { ms: 500 })
    const attempt = tiny.begin('sleeps-forever', { started: file.path })
    const [pid] = await file.pids()
    process.kill(pid ?? 0, 'SIGKILL')
    expect(await attempt.outcome).toMatchObject({ kind: 'killed', facts: { signal: 'SIGKILL' } })
    expect(resultOf(await neighbour.outcome)).toBe('slept')
  })

  test('children that are killed at random times all come to an outcome', async () => {
    const outcomes: Outcome[] = []
    for (let round = 0; round < 10; round += 1) {
      const own = pidFile()
      const attempt = tiny.begin('sleeps-forever', { started: own.path })
      const [pid] = await own.pids()
      setTimeout(() => process.kill(pid ?? 0, 'SIGKILL'), Math.random() * 20)
      outcomes.push(await attempt.outcome)
      own.remove()
    }
    expect(outcomes.map(({ kind }) => kind)).toEqual(Array(10).fill('killed'))
  })

  describe('out of time', () => {
    test('a job that sleeps is ended', async () => {
      const outcome = await tiny.perform('sleeps-forever', null, { timeoutMs: 200 })
      expect(outcome).toMatchObject({ kind: 'timed-out', message: 'the job ran longer than its 200 ms' })
      expect(outcome.facts.durationMs).toBeLessThan(5_000)
    })

    test('a busy loop cannot hide', async () => {
      const attempt = tiny.begin('busy-loops', { started: file.path }, { timeoutMs: 300 })
      const pids = await file.pids()
      const outcome = await attempt.outcome
      expect(outcome).toMatchObject({ kind: 'timed-out', facts: { signal: 'SIGKILL' } })
      expect(outcome.facts.cpuUserMs).toBeGreaterThan(0)
      await allGone(pids)
    })

    test('a job that ignores SIGTERM is killed with its grandchildren, which ignore it too', async () => {
      const attempt = tiny.begin('forks-twice', { started: file.path }, { timeoutMs: 5_000 })
      const pids = await file.pids(3)
      expect(await attempt.outcome).toMatchObject({ kind: 'timed-out', facts: { signal: 'SIGKILL' } })
      await allGone(pids)
    })

    test('a job that stops its own process, and so reads nothing, is ended', async () => {
      const attempt = tiny.begin('stops-itself', { started: file.path }, { timeoutMs: 200 })
      const pids = await file.pids()
      expect(await attempt.outcome).toMatchObject({ kind: 'timed-out', facts: { signal: 'SIGKILL' } })
      await allGone(pids)
    })

    test('a job that listens to its signal may end by itself, and is out of time all the same', async () => {
      const outcome = await tiny.perform('obeys-abort', null, { timeoutMs: 200 })
      expect(outcome).toMatchObject({ kind: 'timed-out' })
    })
  })

  test('what a job has left behind ends with it', async () => {
    const outcome = await tiny.perform('forks-twice', { started: file.path, after: 'return' })
    expect(resultOf(outcome)).toBe('left them behind')
    const pids = await file.pids(3)
    await allGone(pids)
  })

  describe('stopped', () => {
    test.each(['cancelled', 'lost-hold', 'handed-back'] as const)('a job is %s', async (reason) => {
      const attempt = tiny.begin('sleeps-forever', { started: file.path })
      const pids = await file.pids()
      attempt.stop(reason)
      attempt.stop('cancelled')
      expect(await attempt.outcome).toMatchObject({ kind: reason })
      await allGone(pids)
    })

    test('a job that ignores SIGTERM lives no longer than its grace', async () => {
      const attempt = tiny.begin('ignores-sigterm', { started: file.path })
      const pids = await file.pids()
      attempt.stop('cancelled', 100)
      expect(await attempt.outcome).toMatchObject({ kind: 'cancelled', facts: { signal: 'SIGKILL' } })
      await allGone(pids)
    })

    test('a second reason to stop does not prolong the grace', async () => {
      const attempt = tiny.begin('ignores-sigterm', { started: file.path })
      await file.pids()
      attempt.stop('cancelled', 300)
      attempt.stop('handed-back', 60_000)
      expect(await attempt.outcome).toMatchObject({ kind: 'cancelled' })
    })

    test('a job that is to be handed back and finishes in the grace is finished', async () => {
      const attempt = tiny.begin('obeys-abort', { started: file.path })
      await file.pids()
      attempt.stop('handed-back', 20_000)
      expect(resultOf(await attempt.outcome)).toBe('aborted: the worker gives the job back')
    })

    test('a job that fails because it is to be handed back is handed back', async () => {
      const attempt = tiny.begin('obeys-abort', { started: file.path, fails: true })
      await file.pids()
      attempt.stop('handed-back')
      expect(await attempt.outcome).toMatchObject({ kind: 'handed-back' })
    })

    test('a job can be stopped in the moment it is begun', async () => {
      const attempt = tiny.begin('succeeds')
      attempt.stop('cancelled')
      expect(await attempt.outcome).toMatchObject({ kind: 'cancelled' })
    })
  })

  test('a full V8 heap is out of memory', async () => {
    const small = await startTiny(mode, {
      slots: 1,
      env: { PATH: '/usr/bin:/bin', NODE_OPTIONS: '--max-old-space-size=40' },
    })
    const outcome = await small.perform('heap-oom')
    await small.stop()
    expect(outcome).toMatchObject({
      kind: 'out-of-memory',
      message: expect.stringContaining('V8'),
      facts: { output: expect.stringContaining('heap out of memory') },
    })
  })

  test('output is told line by line, and its end is kept', async () => {
    const lines: string[] = []
    const onOutput = (stream: string, line: string) => lines.push(`${stream}: ${line}`)
    const outcome = await tiny.perform('writes', { out: 'one\ntwo', err: 'oh\n' }, { onOutput })
    expect(outcome.facts).toMatchObject({ outputBytes: 10, output: expect.stringContaining('two') })
    expect(lines.sort()).toEqual(['stderr: oh', 'stdout: one', 'stdout: two'])
    const long = await tiny.perform('writes', { out: `${'a'.repeat(99_999)}\nend` })
    expect(long.facts.output).toHaveLength(16 * 1024)
    expect(long.facts.output).toMatch(/a\nend$/)
  })

  test('job.log writes to the output of the job', async () => {
    const outcome = await tiny.perform('logs', { text: 'said' })
    expect(outcome.facts.output).toBe('said { a: 1 }\n')
  })

  test('of fast progress the first and the last value arrive, before the outcome', async () => {
    const seen: number[] = []
    const outcome = await tiny.perform(
      'progresses',
      { steps: 10_000 },
      { onProgress: (text) => seen.push(JSON.parse(text)) },
    )
    expect(resultOf(outcome)).toBe('done')
    expect(seen[0]).toBe(0.0001)
    expect(seen.at(-1)).toBe(1)
    expect(seen.length).toBeLessThan(1_000)
  })

  test('output without end is the end of the job', async () => {
    const outcome = await tiny.perform('floods-stdout')
    expect(outcome).toMatchObject({ kind: 'output-limit', facts: { signal: 'SIGKILL' } })
    expect(outcome.facts.output).toHaveLength(16 * 1024)
    expect(outcome.facts.outputBytes).toBeLessThan(32 * MEGABYTE)
  })

  test.each([
    ['huge-result', { bytes: 100 * MEGABYTE }],
    ['sends-raw', { raw: 'too-long' }],
    ['sends-raw', { raw: 'progress-flood' }],
  ])('%s of %p goes over the limit, and the worker does not grow', async (task, input) => {
    const before = process.memoryUsage.rss()
    let peak = before
    const watch = setInterval(() => {
      peak = Math.max(peak, process.memoryUsage.rss())
    }, 5)
    const outcome = await tiny.perform(task, input)
    clearInterval(watch)
    expect(outcome).toMatchObject({ kind: 'output-limit' })
    expect(peak - before).toBeLessThan(ALLOWED_GROWTH_BYTES)
  })

  test.each(['garbage', 'unknown-kind', 'not-json', 'no-line', 'no-id', 'an-array', 'kind-of-the-worker'])(
    'a child that sends a broken message (%s) fails, and the next job runs',
    async (raw) => {
      const outcome = await tiny.perform('sends-raw', { raw })
      expect(outcome).toMatchObject({ kind: 'failed', error: { name: 'BrokenChild' } })
      expect(await tiny.perform('noop')).toMatchObject({ kind: 'succeeded' })
    },
  )
})

describe.each(['Spawn', 'Fork'] as const)('starting and stopping with %s', (mode) => {
  const module = (name: string) => fileURLToPath(new URL(`../../tasks/${name}.ts`, import.meta.url))

  test.each([
    ['does-not-exist', /cannot load .*does-not-exist\.ts: Cannot find module/],
    ['throws-at-load', /cannot load .*throws-at-load\.ts: this module is broken/],
    ['rejects-at-load', /the task modules raised an error while they loaded: nobody awaited me/],
    ['exits-at-load', /exited with code 3 before it had loaded the modules: last words/],
    ['defines-twice', /task "twice" is defined twice/],
  ])('a module that %s is told in one sentence', async (name, message) => {
    await expect(startTiny(mode, { modules: [module(name)] })).rejects.toMatchObject({
      name: 'ConfigError',
      message: expect.stringMatching(message),
    })
  })

  test('children that stop to start come as could-not-start, at a bounded pace, until they start again', async () => {
    const warnings: string[] = []
    const log = { debug() {}, info() {}, warn: (message: string) => warnings.push(message), error() {} }
    const flag = pidFile()
    const flaky = await startTiny(mode, {
      modules: [module('loads-unless-told-not-to')],
      env: { PATH: '/usr/bin:/bin', BROKEN_FLAG: flag.path },
      slots: 1,
      log,
    })
    writeFileSync(flag.path, 'broken')
    // A zygote has loaded the modules for good: only another one loads them again.
    if (mode === 'Fork')
      for (const zygote of childrenOf(process.pid).filter(isSpare)) process.kill(zygote, 'SIGKILL')
    const kinds = []
    for (let count = 0; count < 5; count += 1) kinds.push((await flaky.perform('loads')).kind)
    // What was started ahead still worked.
    expect(kinds.slice(-3)).toEqual(['could-not-start', 'could-not-start', 'could-not-start'])
    expect(warnings.length).toBeLessThan(12)
    flag.remove()
    await eventually(async () => (await flaky.perform('loads')).kind === 'succeeded', { what: 'a start' })
    await flaky.stop()
  })

  test('a spare that dies is replaced', async () => {
    const tiny = await startTiny(mode, { slots: 1 })
    const spares = childrenOf(process.pid).filter(isSpare)
    expect(spares.length).toBeGreaterThan(0)
    for (const spare of spares) process.kill(spare, 'SIGKILL')
    await allGone(spares)
    await eventually(async () => (await tiny.perform('noop')).kind === 'succeeded')
    await tiny.stop()
  })

  test('stop() lets a job that listens finish', async () => {
    const file = pidFile()
    const tiny = await startTiny(mode, { slots: 1 })
    const attempt = tiny.begin('obeys-abort', { started: file.path })
    await file.pids()
    await tiny.stop()
    expect(resultOf(await attempt.outcome)).toBe('aborted: the worker gives the job back')
    file.remove()
  })

  test('stop() hands back what runs and leaves no process, no descriptor and no handle', async () => {
    const file = pidFile()
    const before = { handles: handles(), descriptors: descriptors() }
    const tiny = await startTiny(mode)
    const attempts = [
      tiny.begin('ignores-sigterm', { started: file.path }),
      tiny.begin('busy-loops', { started: file.path }),
    ]
    const pids = await file.pids(2)
    const late = tiny.begin('sleeps-forever')
    await tiny.stop()
    const outcomes = await Promise.all([...attempts, late].map(({ outcome }) => outcome))
    expect(outcomes.map(({ kind }) => kind)).toEqual(['handed-back', 'handed-back', 'handed-back'])
    expect(pids.filter(isAlive)).toEqual([])
    expect((await tiny.perform('noop')).kind).toBe('could-not-start')
    await eventually(() => handles() <= before.handles && descriptors() <= before.descriptors, {
      what: 'the end of all handles',
    })
    file.remove()
  })
})

function isSpare(pid: number): boolean {
  return procText(pid, 'cmdline').includes('entry.ts')
}

function handles(): number {
  return process.getActiveResourcesInfo().filter((name) => /Process|Pipe|Timeout/.test(name)).length
}

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}
