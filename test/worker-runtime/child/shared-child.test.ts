import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { silent } from '../../../worker-runtime/src/log.ts'
import { eventually } from '../../eventually.ts'
import { childrenOf } from '../../processes.ts'
import { allGone, pidFile, resultOf, startTiny, type Tiny, zygoteOf } from './tiny-children.ts'

const taskFile = (name: string) => fileURLToPath(new URL(`../../tasks/${name}.ts`, import.meta.url))

jest.setTimeout(60_000) // real processes, on a machine that may be busy

test('its children are forks of a process that has loaded the modules, so that a new one costs little', async () => {
  const tiny = await startTiny('Reuse', {
    modules: [taskFile('forked')],
    forkShares: [taskFile('forked')],
    slots: 1,
    jobsPerChild: 1,
  })
  const parents = []
  for (let count = 0; count < 3; count += 1)
    parents.push((resultOf(await tiny.perform('tells-pids')) as { ppid: number }).ppid)
  expect(new Set(parents)).toEqual(new Set([zygoteOf(process.pid)]))
  await tiny.stop()
})

test('they are fresh processes where the modules keep something open, and nobody needs to be told', async () => {
  const tiny = await startTiny('Reuse', { modules: [taskFile('starts-interval-at-load')] })
  const outcome = await tiny.perform('loaded')
  await tiny.stop()
  expect({ mode: tiny.mode, note: tiny.note }).toEqual({ mode: 'Reuse', note: '' })
  expect(resultOf(outcome)).toBe('loaded')
})

test('attempts of one turn of the loop share a child while attempts take a moment, and are spread while they take longer', async () => {
  const tiny = await startTiny('Reuse', { slots: 16, jobsAtOncePerChild: 8 })
  const all = (task: string, input?: unknown) =>
    Promise.all(Array.from({ length: 8 }, async () => resultOf(await tiny.perform(task, input))))
  const childrenOfEight = async () => new Set(await all('tells-child')).size
  await eventually(() => childrenOf(zygoteOf(process.pid) ?? 0).length === 2)
  await eventually(async () => (await childrenOfEight()) === 1)
  for (let count = 0; count < 4; count += 1) await all('sleeps', { ms: 50 })
  expect(await childrenOfEight()).toBe(2)
  await tiny.stop()
})

describe('a child that serves one job at a time', () => {
  let tiny: Tiny
  beforeAll(async () => {
    tiny = await startTiny('Reuse', { slots: 1, jobsPerChild: 3 })
  })
  afterAll(() => tiny.stop())

  test('serves its number of jobs and is replaced', async () => {
    const pids = []
    for (let count = 0; count < 9; count += 1)
      pids.push(resultOf(await tiny.perform('tells-child')) as number)
    expect(new Set(pids).size).toBe(3)
    await allGone(pids.slice(0, 6))
  })

  test.each<[string, unknown, object]>([
    ['exits', { code: 0 }, { kind: 'exited', facts: { exitCode: 0 } }],
    ['aborts', null, { kind: 'killed', facts: { signal: 'SIGABRT' } }],
    ['kills-itself', { signal: 'SIGKILL' }, { kind: 'killed', facts: { signal: 'SIGKILL' } }],
    ['unhandled-rejection', {}, { kind: 'failed', error: { message: 'nobody caught me' } }],
    ['uncaught-exception', null, { kind: 'failed', error: { message: 'thrown from a timer' } }],
    ['huge-result', { bytes: 2 ** 21 }, { kind: 'output-limit' }],
    ['floods-stdout', null, { kind: 'output-limit' }],
    ['sends-raw', { raw: 'garbage' }, { kind: 'failed', error: { name: 'BrokenChild' } }],
    ['sends-raw', { raw: 'too-long' }, { kind: 'output-limit' }],
  ])('%s of %p ends as it would in a fresh child, and the next job runs', async (task, input, outcome) => {
    expect(await tiny.perform(task, input)).toMatchObject(outcome)
    expect(await tiny.perform('noop')).toMatchObject({ kind: 'succeeded' })
  })

  test('a busy loop is ended when its time is over, and the next job runs', async () => {
    expect(await tiny.perform('busy-loops', null, { timeoutMs: 200 })).toMatchObject({ kind: 'timed-out' })
    expect(await tiny.perform('noop')).toMatchObject({ kind: 'succeeded' })
  })

  test('a child with an error that nobody caught is not used again', async () => {
    const before = resultOf(await tiny.perform('tells-child'))
    await tiny.perform('unhandled-rejection', {})
    expect(resultOf(await tiny.perform('tells-child'))).not.toBe(before)
  })

  test('the output of a job belongs to that job', async () => {
    const [first, second] = await Promise.all([
      tiny.perform('writes', { out: 'first\n' }),
      tiny.perform('writes', { out: 'second\n' }),
    ])
    expect(first?.facts.output).toBe('first\n')
    expect(second?.facts.output).toBe('second\n')
  })
})

describe('what a job writes after its end, while the next one runs,', () => {
  const lines: Record<string, unknown>[] = []
  const log = { ...silent, info: (message: string, facts = {}) => message === 'output' && lines.push(facts) }
  let tiny: Tiny
  beforeAll(async () => {
    tiny = await startTiny('Reuse', { slots: 1, log })
  })
  afterAll(() => tiny.stop())

  test.each(['console', 'stream', 'writeSync', 'write'])(
    'is not in the record of that, but in the log with its own id (%s)',
    async (by) => {
      const late = { by, text: `late by ${by}`, afterMs: 30 }
      const first = await tiny.perform('writes-late', late, { jobId: `a-${by}` })
      const next = await tiny.perform('writes-by', { by, text: 'mine', forMs: 200 }, { jobId: `b-${by}` })
      expect(first.facts.output).toBeUndefined()
      expect(next.facts.output).toBe('mine\n')
      expect(lines).toContainEqual(
        expect.objectContaining({ job: `a-${by}`, queue: 'default.tiny', line: `late by ${by}`, late: true }),
      )
    },
  )

  test('is in nobody’s record where it does not pass through JavaScript: the log has it', async () => {
    await tiny.perform('writes-late', { by: 'process', text: 'from a process', afterMs: 0 })
    const next = await tiny.perform('writes-by', { by: 'console', text: 'mine', forMs: 300 })
    expect(next.facts.output).toBe('mine\n')
    await eventually(() => lines.some(({ line, job }) => line === 'from a process' && job === undefined))
  })

  test('does not fill the log', async () => {
    const text = 'x'.repeat(1_000)
    for (let count = 0; count < 3; count += 1)
      await tiny.perform('writes-late', { by: 'stream', text: `${text}\n`.repeat(1_000), afterMs: 0 })
    await tiny.perform('writes-by', { by: 'console', text: 'mine', forMs: 100 })
    expect(lines.filter(({ line }) => line === text).length).toBeLessThan(1_000)
  })
})

describe('a child that serves several jobs at once', () => {
  let tiny: Tiny
  let file: ReturnType<typeof pidFile>
  beforeAll(async () => {
    tiny = await startTiny('Reuse', { slots: 4, jobsAtOncePerChild: 4 })
  })
  afterAll(() => tiny.stop())
  beforeEach(() => {
    file = pidFile()
  })
  afterEach(() => file.remove())

  test('runs them in one process', async () => {
    const outcomes = await Promise.all(Array.from({ length: 4 }, () => tiny.perform('tells-child')))
    expect(new Set(outcomes.map(resultOf)).size).toBe(1)
  })

  test('keeps their output, progress and results apart', async () => {
    const seen: string[] = []
    const outcomes = await Promise.all(
      ['a', 'b', 'c', 'd'].map((out) =>
        tiny.perform('writes', { out: `${out}\n` }, { onOutput: (_, line) => seen.push(`${out}${line}`) }),
      ),
    )
    expect(outcomes.map(({ facts }) => facts.output)).toEqual(['a\n', 'b\n', 'c\n', 'd\n'])
    expect(seen.sort()).toEqual(['aa', 'bb', 'cc', 'dd'])
  })

  test.each([
    ['kills-itself', { signal: 'SIGSEGV' }, 'killed'],
    ['aborts', null, 'killed'],
    ['sends-raw', { raw: 'garbage' }, 'failed'],
  ])('%s of %p is found out: its neighbours run again alone and come through', async (task, input, kind) => {
    const neighbours = [tiny.begin('sleeps', { ms: 300 }), tiny.begin('sleeps', { ms: 300 })]
    const culprit = tiny.begin(task, input)
    expect(await culprit.outcome).toMatchObject({ kind })
    for (const neighbour of neighbours) expect(resultOf(await neighbour.outcome)).toBe('slept')
  })

  test.each([
    ['exits', { code: 1 }, 'exited'],
    ['unhandled-rejection', { afterMs: 50 }, 'failed'],
    ['uncaught-exception', null, 'failed'],
  ])('%s of %p names its culprit; a neighbour goes on in another child', async (task, input, kind) => {
    const neighbour = tiny.begin('sleeps-forever', { started: file.path })
    await file.pids()
    expect(await tiny.perform(task, input)).toMatchObject({ kind })
    expect(new Set(await file.pids(2)).size).toBe(2)
    neighbour.stop('cancelled', 0)
    expect(await neighbour.outcome).toMatchObject({ kind: 'cancelled' })
  })

  test('a job whose neighbours end one child after the other is handed back uncounted', async () => {
    const neighbour = tiny.begin('sleeps-forever', { started: file.path })
    for (let children = 1; children <= 3; children += 1) {
      await file.pids(children)
      expect(await tiny.perform('exits', { code: 1 })).toMatchObject({ kind: 'exited' })
    }
    expect(await neighbour.outcome).toMatchObject({ kind: 'handed-back' })
  })

  test('a neighbour of an uncaught error may finish in the grace', async () => {
    const neighbour = tiny.begin('sleeps', { ms: 300 })
    expect(await tiny.perform('uncaught-exception')).toMatchObject({ kind: 'failed' })
    expect(resultOf(await neighbour.outcome)).toBe('slept')
  })

  test('an error that comes after its job has ended hurts nobody, but the child is not used again', async () => {
    const neighbour = tiny.begin('sleeps', { ms: 200 })
    const before = tiny.perform('tells-child')
    expect(resultOf(await tiny.perform('late-rejection'))).toBe('done')
    expect(resultOf(await neighbour.outcome)).toBe('slept')
    expect(resultOf(await tiny.perform('tells-child'))).not.toBe(resultOf(await before))
  })

  test('a job that is cancelled and obeys leaves the child to its neighbours', async () => {
    const obeying = tiny.begin('obeys-abort', { started: file.path })
    const [pid] = await file.pids()
    const neighbour = tiny.begin('tells-child')
    const sleeping = tiny.begin('sleeps', { ms: 300 })
    obeying.stop('cancelled', 20_000)
    expect(await obeying.outcome).toMatchObject({ kind: 'cancelled' })
    expect(resultOf(await neighbour.outcome)).toBe(pid)
    expect(resultOf(await sleeping.outcome)).toBe('slept')
    expect(resultOf(await tiny.perform('tells-child'))).toBe(pid)
  })

  test('a job that is out of time and does not listen takes the child with it; neighbours go on in another', async () => {
    const neighbour = tiny.begin('sleeps-forever', { started: file.path })
    await file.pids()
    expect(await tiny.perform('sleeps-forever', null, { timeoutMs: 100 })).toMatchObject({
      kind: 'timed-out',
    })
    expect(new Set(await file.pids(2)).size).toBe(2)
    neighbour.stop('cancelled', 0)
    expect(await neighbour.outcome).toMatchObject({ kind: 'cancelled' })
  })

  test('a job that waits behind a busy loop does not run out of time, it runs in another child', async () => {
    const looping = tiny.begin('busy-loops', { started: file.path }, { timeoutMs: 4_000 })
    await file.pids()
    const waiting = tiny.begin('tells-child', null, { timeoutMs: 2_500 })
    expect(await looping.outcome).toMatchObject({ kind: 'timed-out' })
    expect(resultOf(await waiting.outcome)).not.toBe((await file.pids())[0])
  })

  test('of two jobs that both run out of time behind a busy loop, the loop is found out and the other comes through', async () => {
    const innocent = tiny.begin('sleeps', { ms: 300 }, { timeoutMs: 2_500 })
    const looping = tiny.begin('busy-loops', { started: file.path }, { timeoutMs: 4_000 })
    expect(await looping.outcome).toMatchObject({ kind: 'timed-out' })
    expect(resultOf(await innocent.outcome)).toBe('slept')
  })

  test('a busy loop is found out, whoever ran out of time first', async () => {
    const hasty = tiny.begin('sleeps', { ms: 50 }, { timeoutMs: 2_500 })
    const looping = tiny.begin('busy-loops', { started: file.path }, { timeoutMs: 4_000 })
    await file.pids()
    const waiting = tiny.begin('noop')
    expect(await waiting.outcome).toMatchObject({ kind: 'succeeded' })
    expect(resultOf(await hasty.outcome)).toBe('slept')
    expect(await looping.outcome).toMatchObject({ kind: 'timed-out' })
  })
})

test('300 children come and go and leave no descriptor and no zombie', async () => {
  const others = childrenOf(process.pid)
  const before = descriptors()
  const tiny = await startTiny('Reuse', { slots: 4, jobsPerChild: 1 })
  const outcomes = await Promise.all(Array.from({ length: 300 }, () => tiny.perform('tells-child')))
  expect(new Set(outcomes.map(resultOf)).size).toBe(300)
  // Four children, each with a channel and two outputs, four more on their way out or in, and the guard.
  await eventually(() => descriptors() < before + 40, { what: 'the end of those on their way out' })
  await tiny.stop()
  expect(childrenOf(process.pid)).toEqual(others)
  await eventually(() => descriptors() <= before, { what: 'the end of all descriptors' })
}, 180_000)

function descriptors(): number {
  return readdirSync('/proc/self/fd').length
}
