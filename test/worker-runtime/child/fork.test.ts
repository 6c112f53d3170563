// What fresh.test.ts has of both kinds of fresh children is not repeated here: this is what only a fork can get wrong.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { loadNative, pathOfNative, whyNoFork } from '../../../worker-runtime/src/child/source/fork/native.ts'
import { eventually } from '../../eventually.ts'
import { childrenOf, isAlive, procText } from '../../processes.ts'
import { allGone, pidFile, resultOf, startTiny, type Tiny, theZygoteOf, zygoteOf } from './tiny-children.ts'

jest.setTimeout(120_000) // real processes, on a machine that may be busy

const taskFile = (name: string) => fileURLToPath(new URL(`../../tasks/${name}.ts`, import.meta.url))
const FORKED = taskFile('forked')
const SOURCES = fileURLToPath(new URL('../../../worker-runtime/src/child/source/fork', import.meta.url))
const WORKER = fileURLToPath(new URL('./worker-to-be-killed.ts', import.meta.url))
const descriptors = () => readdirSync('/proc/self/fd').length
/** Of a worker with four slots. */
const SPARES = 4

describe('the compiled files', () => {
  const sources = readdirSync(SOURCES)
    .filter((file) => /\.[ch]$/.test(file))
    .sort()
  const hash = sources
    .reduce((sum, file) => sum.update(readFileSync(join(SOURCES, file))), createHash('sha256'))
    .digest('hex')

  test('this platform’s is compiled from the sources as they are (else: npm run native)', () => {
    expect(loadNative().sourceHash).toBe(hash)
  })

  test.each(['x64', 'arm64'])('the one for %s carries the hash of the sources', (arch) => {
    expect(readFileSync(pathOfNative(arch)).includes(hash)).toBe(true)
  })
})

test('a zygote has its heap in one place, by a library that jobs do not see', async () => {
  const module = taskFile('tells-preload')
  const env = { PATH: '/usr/bin:/bin', LD_PRELOAD: 'libm.so.6' }
  const tiny = await startTiny('Fork', { modules: [module], env, slots: 1 })
  expect(resultOf(await tiny.perform('tells-preload'))).toBe('libm.so.6')
  const anonymous = procText(theZygoteOf(process.pid), 'maps').matchAll(/^(\w+)-\S+ \S+ 0+ 00:00 0 *$/gm)
  const gigabytes = new Set([...anonymous].map(([, from = '']) => BigInt(`0x${from}`) >> 30n))
  expect(gigabytes.size).toBeLessThan(16) // V8 puts each of some 40 pages into another one
  await tiny.stop()
})

describe('where Fork cannot work', () => {
  const here = { os: 'linux', arch: 'x64', nodeMajor: 24, glibc: '2.36' }

  test.each([
    [{ os: 'darwin' }, /needs Linux, and this is darwin/],
    [{ arch: 'riscv64' }, /no compiled part for riscv64/],
    [{ glibc: undefined }, /needs glibc/],
    [{ nodeMajor: 25 }, /tested with Node 22, 24, 26, and this is Node 25/],
  ])('%p says why', (difference, why) => {
    expect(whyNoFork({ ...here, ...difference })).toMatch(why)
  })

  test.each([['22'], ['24'], ['26']])('Node %s may try', (nodeMajor) => {
    expect(whyNoFork({ ...here, nodeMajor: Number(nodeMajor) })).toBeUndefined()
  })

  test.each([
    ['opens-server-at-load', /left open: TCPServerWrap/],
    ['starts-interval-at-load', /left open: Timeout/],
    ['keeps-connection-at-load', /a socket \(descriptor \d+\)/],
    ['starts-thread-at-load', /a thread \(/],
    ['starts-process-at-load', /a process \(\d+\)/],
  ])('a module that %s runs with Spawn, and the note says why', async (name, note) => {
    const tiny = await startTiny('Fork', { modules: [taskFile(name)] })
    const outcome = await tiny.perform('loaded')
    await tiny.stop()
    expect({ mode: tiny.mode, note: tiny.note }).toEqual({ mode: 'Spawn', note: expect.stringMatching(note) })
    expect(resultOf(outcome)).toBe('loaded')
  })
})

test('a compiler that keeps what it has compiled makes no difference between a first start and a second', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-cache-'))
  const env = { PATH: '/usr/bin:/bin', CACHE: join(folder, 'cache') }
  for (const start of ['first', 'second']) {
    const tiny = await startTiny('Fork', { modules: [taskFile('compiles-at-load')], env })
    await tiny.stop()
    expect({ start, mode: tiny.mode, note: tiny.note }).toEqual({ start, mode: 'Fork', note: '' })
  }
  rmSync(folder, { recursive: true })
})

test('hooks that load modules in a thread of their own, by --import, are never lost in a fork', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-hooks-'))
  const hooks = join(folder, 'hooks.mjs')
  writeFileSync(hooks, "import { register } from 'node:module'\nregister('data:text/javascript,')\n")
  const env = { PATH: '/usr/bin:/bin', NODE_OPTIONS: `--import ${hooks}` }
  const tiny = await startTiny('Fork', { env })
  const outcome = await tiny.perform('tells-child')
  await tiny.stop()
  expect({ mode: tiny.mode, note: tiny.note }).toEqual({
    mode: 'Spawn',
    note: expect.stringMatching(/a thread \((WorkerThread|node)\)/), // Node 22 gives threads no name
  })
  rmSync(folder, { recursive: true })
  expect(outcome.kind).toBe('succeeded')
})

describe('a forked child', () => {
  let tiny: Tiny
  beforeAll(async () => {
    tiny = await startTiny('Fork', { modules: [FORKED], forkShares: [FORKED], slots: 4 })
  })
  afterAll(() => tiny.stop())
  /** Several of it at once, so that children live beside each other and the zygote has served before. */
  const several = (task: string, input?: unknown) =>
    Promise.all(Array.from({ length: 6 }, async () => resultOf(await tiny.perform(task, input))))

  test('is a fork', () => {
    expect({ mode: tiny.mode, note: tiny.note }).toEqual({ mode: 'Fork', note: '' })
  })

  test('inherits the page tables of what it runs of Node', async () => {
    expect(resultOf(await tiny.perform('page-faults'))).toBeLessThan(230) // some 160, and 300 without
  })

  test.each([
    ['fetches', 'hello'],
    ['starts', 'hello'],
    ['starts-node', '42'],
    ['compresses', true],
    ['derives', Array(8).fill(32)],
    ['reads', true],
    ['resizes', '30x20'],
    ['compiles-wasm', 42],
    ['collects', 10],
  ])('%s', async (task, result) => {
    expect(await several(task)).toEqual(Array(6).fill(result))
  })

  test('starts threads, whose random numbers are their own', async () => {
    const seen = (await several('threads')) as { length: number; random: unknown[] }[]
    expect(seen.map(({ length }) => length)).toEqual(Array(6).fill(300_000))
    expect(new Set(seen.flatMap(({ random }) => random)).size).toBe(12)
  })

  test('has timers that take their time', async () => {
    const [tookMs] = (await several('waits', { ms: 50 })) as number[]
    expect(tookMs).toBeGreaterThanOrEqual(49)
  })

  test('knows its pid, leads its group, and has the zygote for a parent', async () => {
    for (const seen of await several('tells-pids')) {
      const { pid, ppid, kernel, group } = seen as Record<string, number>
      expect([kernel, group]).toEqual([pid, pid])
      expect(ppid).toBe(zygoteOf(process.pid))
    }
  })

  test('lets exit listeners of the job speak before it ends', async () => {
    const lines: string[] = []
    const onOutput = (_: unknown, line: string) => void lines.push(line)
    expect(await tiny.perform('leaves-by-listener', null, { onOutput })).toMatchObject({ kind: 'succeeded' })
    await eventually(() => lines.includes('last words'))
  })

  test.each([
    ['sets-exit-code', 9],
    ['really-exits', 5],
  ])('that %s ends with that code', async (task, exitCode) => {
    expect(await tiny.perform(task)).toMatchObject({ kind: 'exited', facts: { exitCode } })
  })

  test('1,000 of them have random numbers of their own, and leave no process and no descriptor', async () => {
    const zygote = theZygoteOf(process.pid)
    const descriptorsOfZygote = () => readdirSync(`/proc/${zygote}/fd`).length
    // Each spare has some in the zygote: counted when all spares are there, before and after.
    const allSpares = () =>
      eventually(() => childrenOf(zygote).length === SPARES, { what: `${SPARES} spares and nobody else` })
    await allSpares()
    const before = { ours: descriptors(), zygotes: descriptorsOfZygote() }
    const seen = new Set<string>()
    let begun = 0
    const one = async () => {
      while (begun < 1_000) {
        begun += 1
        for (const number of resultOf(await tiny.perform('randoms')) as string[]) seen.add(number)
      }
    }
    await Promise.all([one(), one(), one(), one()])
    expect(seen.size).toBe(7_000)
    expect(zygoteOf(process.pid)).toBe(zygote)
    await allSpares()
    await eventually(() => descriptors() <= before.ours, { what: 'no descriptor more in the worker' })
    await eventually(() => descriptorsOfZygote() <= before.zygotes, {
      what: 'no descriptor more in the zygote',
    })
  })

  test('leaves orphans to the zygote, which reaps them', async () => {
    const zygote = theZygoteOf(process.pid)
    await several('orphans')
    await eventually(() => childrenOf(zygote).length <= 4, { what: 'orphans reaped' })
  })
})

describe('with a pool of threads in V8', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-test-'))
  const node = process.execPath
  beforeAll(() => {
    const script = join(folder, 'node')
    writeFileSync(script, `#!/bin/bash\nexec ${node} "\${@/--v8-pool-size=1/--v8-pool-size=4}"\n`, {
      mode: 0o755,
    })
    process.execPath = script
  })
  afterAll(() => {
    process.execPath = node
    rmSync(folder, { recursive: true })
  })

  test('children that collect much garbage and let their loops run dry do not wait for threads they have not', async () => {
    const tiny = await startTiny('Fork', { modules: [FORKED], forkShares: [FORKED], slots: 4 })
    expect({ mode: tiny.mode, note: tiny.note }).toEqual({ mode: 'Fork', note: '' })
    const outcomes = await Promise.all(Array.from({ length: 40 }, () => tiny.perform('collects')))
    expect(outcomes.map(resultOf)).toEqual(Array(40).fill(10))
    await tiny.stop()
  })
})

describe('when the zygote dies', () => {
  let file: ReturnType<typeof pidFile>
  beforeEach(() => {
    file = pidFile()
  })
  afterEach(() => file.remove())

  test('its children die, their outcomes say so, and the next job has a new zygote', async () => {
    const tiny = await startTiny('Fork', { slots: 3 })
    const first = theZygoteOf(process.pid)
    const attempts = [
      tiny.begin('busy-loops', { started: file.path }),
      tiny.begin('sleeps-forever', { started: file.path }),
    ]
    const pids = await file.pids(2)
    process.kill(first, 'SIGKILL')
    for (const { outcome } of attempts)
      expect(await outcome).toMatchObject({
        kind: 'killed',
        message: expect.stringContaining('the zygote was killed by SIGKILL'),
        facts: { signal: 'SIGKILL' },
      })
    await allGone(pids)
    await eventually(async () => (await tiny.perform('noop')).kind === 'succeeded')
    expect(zygoteOf(process.pid)).not.toBe(first)
    await tiny.stop()
  })

  test('at any moment, every job comes to an end that is true', async () => {
    const tiny = await startTiny('Fork', { slots: 3 })
    for (let round = 0; round < 5; round += 1) {
      const attempts = Array.from({ length: 6 }, () => tiny.begin('sleeps', { ms: 20 }))
      await new Promise((later) => setTimeout(later, round * 10))
      process.kill(theZygoteOf(process.pid), 'SIGKILL')
      const kinds = await Promise.all(attempts.map(async ({ outcome }) => (await outcome).kind))
      expect(kinds.filter((kind) => !['succeeded', 'killed', 'could-not-start'].includes(kind))).toEqual([])
      await eventually(async () => (await tiny.perform('noop')).kind === 'succeeded' && zygoteOf(process.pid))
    }
    await tiny.stop()
    expect(zygoteOf(process.pid)).toBeUndefined()
  })

  test('by the hand of a job, that job and its neighbours end as killed', async () => {
    const tiny = await startTiny('Fork', { modules: [FORKED], forkShares: [FORKED], slots: 2 })
    expect(await tiny.perform('kills-zygote')).toMatchObject({ kind: 'killed' })
    await eventually(async () => (await tiny.perform('randoms')).kind === 'succeeded')
    await tiny.stop()
  })

  test('because it does not answer, it is replaced, and what ran in its children is handed back', async () => {
    const tiny = await startTiny('Fork', { slots: 2 })
    const first = theZygoteOf(process.pid)
    const file = pidFile()
    const neighbour = tiny.perform('sleeps-forever', { started: file.path })
    await file.pids()
    process.kill(first, 'SIGSTOP')
    await eventually(async () => (await tiny.perform('noop')).kind === 'succeeded' && !isAlive(first), {
      withinMs: 40_000,
    })
    expect(await neighbour).toMatchObject({ kind: 'handed-back' })
    file.remove()
    await tiny.stop()
  })
})

describe('when the worker is killed', () => {
  test('its zygote, the children of that and theirs go with it', async () => {
    const file = pidFile()
    const jobs = [
      ['busy-loops', { started: file.path }],
      ['forks-twice', { started: file.path, after: 'busy-loop' }],
    ]
    const worker = spawn(
      process.execPath,
      ['--conditions=millhand-source', WORKER, 'Fork', JSON.stringify(jobs)],
      {
        stdio: 'inherit',
      },
    )
    const started = await file.pids(4)
    const zygote = theZygoteOf(worker.pid ?? 0)
    const all = [zygote, ...childrenOf(zygote), ...started]
    worker.kill('SIGKILL')
    await allGone(all)
    file.remove()
  })
})
