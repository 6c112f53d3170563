import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jest } from '@jest/globals'
import { Attempt } from '../../../worker-runtime/src/child/attempt.ts'
import { Child } from '../../../worker-runtime/src/child/child.ts'
import {
  defaultMaxMemoryBytes,
  findContainer,
  MemoryWatch,
} from '../../../worker-runtime/src/child/memory.ts'
import { spawnChild } from '../../../worker-runtime/src/child/source/spawn.ts'
import { silent } from '../../../worker-runtime/src/log.ts'
import { eventually } from '../../eventually.ts'
import { resultOf, startTiny, TINY } from './tiny-children.ts'

jest.setTimeout(60_000) // real processes, on a machine that may be busy

const MEGABYTE = 2 ** 20

test('a job above its memory is ended', async () => {
  const tiny = await startTiny('Spawn', { slots: 2, maxMemoryBytes: 200 * MEGABYTE })
  const neighbour = tiny.begin('sleeps', { ms: 1_000 })
  const outcome = await tiny.perform('eats-memory', { megabytes: 400 })
  expect(outcome).toMatchObject({
    kind: 'out-of-memory',
    message: expect.stringContaining(`${200 * MEGABYTE} are allowed`),
    facts: { signal: 'SIGKILL' },
  })
  expect(outcome.facts.maxRssBytes).toBeGreaterThan(200 * MEGABYTE)
  expect(resultOf(await neighbour.outcome)).toBe('slept')
  await tiny.stop()
})

test('what a job has started counts, in whatever session it is', async () => {
  const tiny = await startTiny('Fork', { slots: 1, maxMemoryBytes: 250 * MEGABYTE })
  expect(await tiny.perform('starts-one-that-eats-memory', { megabytes: 300 })).toMatchObject({
    kind: 'out-of-memory',
    message: expect.stringContaining('what it has started'),
  })
  await tiny.stop()
})

test('a child that came near its memory is replaced when its jobs are done', async () => {
  const tiny = await startTiny('Reuse', { slots: 1, maxMemoryBytes: 400 * MEGABYTE })
  const before = resultOf(await tiny.perform('tells-child'))
  expect(await tiny.perform('eats-memory', { megabytes: 310 })).toMatchObject({ kind: 'succeeded' })
  expect(resultOf(await tiny.perform('tells-child'))).not.toBe(before)
  await tiny.stop()
})

test('of several jobs in a child above its memory, the one that needs it is found out', async () => {
  const tiny = await startTiny('Reuse', { slots: 2, jobsAtOncePerChild: 2, maxMemoryBytes: 200 * MEGABYTE })
  const neighbour = tiny.begin('sleeps', { ms: 3_000 })
  expect(await tiny.perform('eats-memory', { megabytes: 400 })).toMatchObject({ kind: 'out-of-memory' })
  expect(resultOf(await neighbour.outcome)).toBe('slept')
  await tiny.stop()
})

test('when the container is nearly full, the biggest child is ended and the others go on', async () => {
  const options = { modules: [TINY], once: true, jobsAtOnce: 1, onEnded: () => {} }
  const children: Child[] = []
  let usedBytes = 0
  const container = { limitBytes: 1_000, usedBytes: () => usedBytes, oomKills: () => 0 }
  // It says so right before it ends one: then there is room again.
  const log = { ...silent, warn: () => (usedBytes = 800) }
  const watch = new MemoryWatch({ children, maxMemoryBytes: undefined, container, log })
  const begin = async (task: string, input: object) => {
    const birth = await spawnChild({ env: {} })
    if ('failure' in birth) throw new Error(birth.failure)
    const child = new Child(birth, options)
    await child.loaded
    children.push(child)
    const attempt = {
      queue: 'q',
      jobId: 'j',
      task,
      attempt: 1,
      payload: JSON.stringify(input),
      timeoutMs: 20_000,
      enqueuedAtMs: 0,
    }
    const hooks = { onProgress() {}, onOutput() {}, onCall: async () => 'null', onEnded() {} }
    const over = Promise.withResolvers<Attempt>()
    const begun = new Attempt(child, attempt, { id: 1, hooks, onOver: over.resolve })
    return { over: over.promise, outcome: () => begun.outcome() }
  }
  const small = await begin('sleeps', { ms: 2_000 })
  const big = await begin('eats-memory', { megabytes: 100 })
  const file = children[1]?.pid
  await eventually(
    () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${file}/status`, 'utf8'))?.[1]) > 120_000,
  )
  usedBytes = 900
  await big.over
  expect(big.outcome()).toMatchObject({
    kind: 'out-of-memory',
    message: expect.stringContaining('container'),
  })
  await small.over
  expect(small.outcome()).toMatchObject({ kind: 'succeeded' })
  await Promise.all(children.map(({ closed }) => closed))
  watch.stop()
})

test('each child that the kernel ends for lack of memory is known while it goes, and none that ends later', () => {
  jest.useFakeTimers()
  let oomKills = 3
  const container = { limitBytes: 1_000, usedBytes: () => 0, oomKills: () => oomKills }
  const watch = new MemoryWatch({ children: [], maxMemoryBytes: undefined, container, log: silent })
  expect(watch.hasKernelKilled()).toBe(false)
  oomKills += 2
  expect([watch.hasKernelKilled(), watch.hasKernelKilled()]).toEqual([true, true])
  jest.advanceTimersByTime(3_000)
  expect(watch.hasKernelKilled()).toBe(true)
  jest.advanceTimersByTime(3_000)
  expect(watch.hasKernelKilled()).toBe(false)
  watch.stop()
  jest.useRealTimers()
})

describe('the container', () => {
  let root: string
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'millhand-test-'))
  })
  afterEach(() => rmSync(root, { recursive: true }))
  const write = (path: string, text: string) => {
    mkdirSync(join(root, path, '..'), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  const find = (self: string) => {
    write('self', self)
    return findContainer({ root, self: join(root, 'self') })
  }

  test('of cgroup v2 is read, without the pages that can be given back', () => {
    write('memory.max', `${512 * MEGABYTE}\n`)
    write('memory.current', `${300 * MEGABYTE}\n`)
    write('memory.stat', `anon 5\ninactive_file ${100 * MEGABYTE}\nactive_file 7\n`)
    write('memory.events', 'low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\noom_group_kill 0\n')
    const container = find('0::/\n')
    expect(container?.limitBytes).toBe(512 * MEGABYTE)
    expect(container?.usedBytes()).toBe(200 * MEGABYTE)
    expect(container?.oomKills()).toBe(1)
  })

  test('of cgroup v1 is read', () => {
    write('memory/pod/memory.limit_in_bytes', `${512 * MEGABYTE}\n`)
    write('memory/pod/memory.usage_in_bytes', `${300 * MEGABYTE}\n`)
    write('memory/pod/memory.stat', `cache 5\ntotal_inactive_file ${100 * MEGABYTE}\n`)
    write('memory/pod/memory.oom_control', 'oom_kill_disable 0\nunder_oom 0\noom_kill 4\n')
    write('memory/memory.limit_in_bytes', '9223372036854771712\n')
    const container = find('5:cpu:/x\n4:memory:/pod\n0::/\n')
    expect(container?.limitBytes).toBe(512 * MEGABYTE)
    expect(container?.usedBytes()).toBe(200 * MEGABYTE)
    expect(container?.oomKills()).toBe(4)
  })

  test('is the tightest of all that are around', () => {
    write('a/memory.max', `${100 * MEGABYTE}\n`)
    write('a/b/memory.max', `${500 * MEGABYTE}\n`)
    write('a/b/c/memory.max', 'max\n')
    expect(find('0::/a/b/c\n')?.limitBytes).toBe(100 * MEGABYTE)
  })

  test.each(['max\n', '9223372036854771712\n', ''])('with the limit %p has none', (limit) => {
    write('memory.max', limit)
    expect(find('0::/\n')).toBeUndefined()
  })

  test.each([
    [4096, 4, 870],
    [1024, 4, 256],
    [256, 4, 217],
    [2048, 1, 1740],
  ])('of %i MiB leaves each of %i children %i MiB', (limit, children, share) => {
    const container = { limitBytes: limit * MEGABYTE, usedBytes: () => 0, oomKills: () => 0 }
    expect(Math.floor((defaultMaxMemoryBytes(container, children) ?? 0) / MEGABYTE)).toBe(share)
  })

  test('without a limit sets none', () => {
    expect(defaultMaxMemoryBytes(undefined, 4)).toBeUndefined()
  })
})
