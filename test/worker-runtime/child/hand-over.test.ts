// An attempt whose worker drains goes on, or hands its job over; it hears nothing else.
import { writeFileSync } from 'node:fs'
import { isAlive } from '../../processes.ts'
import { pidFile, resultOf, startTiny, type Tiny } from './tiny-children.ts'

describe.each(['Fork', 'Spawn', 'Reuse'] as const)('with %s', (mode) => {
  let tiny: Tiny
  beforeAll(async () => {
    tiny = await startTiny(mode)
  }, 60_000)
  afterAll(() => tiny.stop())

  const waiting = () => {
    const { promise: waits, resolve } = Promise.withResolvers<void>()
    return { waits, pending: tiny.begin('hands-over', null, { onOutput: () => resolve() }) }
  }

  test('a task that listens hands its job over', async () => {
    const { waits, pending } = waiting()
    await waits
    pending.drain()
    expect(await pending.outcome).toMatchObject({
      kind: 'handed-back',
      message: 'the task handed its job over',
    })
  })

  test('one that has not begun yet is told when it begins', async () => {
    const pending = tiny.begin('hands-over')
    pending.drain()
    expect((await pending.outcome).kind).toBe('handed-back')
  })

  test('one that does not listen goes on to its end', async () => {
    const pending = tiny.begin('tells-child')
    pending.drain()
    expect(resultOf(await pending.outcome)).toEqual(expect.any(Number))
  })

  test('one that has just ended has its result, although nobody has read that yet', async () => {
    const { path: started, pids, remove } = pidFile()
    const file = `${started}-go-on`
    const pending = tiny.begin('waits-for-file', { started, file })
    const [pid = 0] = await pids()
    writeFileSync(file, '')
    // Nothing is read meanwhile. A child of Reuse lives on.
    const untilMs = performance.now() + (mode === 'Reuse' ? 300 : 20_000)
    while (isAlive(pid) && performance.now() < untilMs);
    pending.drain()
    expect(resultOf(await pending.outcome)).toBe('it is there')
    remove()
  })

  test('one that hands over while nobody drains has failed, with the remedy', async () => {
    expect(await tiny.perform('hands-over-at-once')).toMatchObject({
      kind: 'failed',
      error: { name: 'HandOver', message: expect.stringContaining('look at job.draining first') },
    })
  })

  test('a job that is cancelled does not take that for a drain', async () => {
    const { waits, pending } = waiting()
    await waits
    pending.stop('cancelled')
    expect((await pending.outcome).kind).toBe('cancelled')
  })
})
