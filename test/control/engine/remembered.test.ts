// A value that costs something to read, and when it is read again.
import { Remembered } from '../../../control/src/engine/remembered.ts'

function counted(read: (times: number, before: number | undefined) => Promise<number>) {
  const clock = { nowMs: 0 }
  let times = 0
  const remembered = new Remembered<number>({
    read: (before) => read(++times, before),
    goodForMs: (value, isDistrusted) => (isDistrusted ? 10 : value * 100),
    nowMs: () => clock.nowMs,
  })
  return { remembered, clock, times: () => times }
}

test('it is read once for all who ask meanwhile, and again when it is too old', async () => {
  const { remembered, clock, times } = counted(async (count) => count)
  expect(await Promise.all([remembered.get(), remembered.get(), remembered.get()])).toEqual([1, 1, 1])
  clock.nowMs = 99
  expect(await remembered.get()).toBe(1)
  expect(await remembered.get(50)).toBe(2)
  clock.nowMs = 298
  expect(await remembered.get()).toBe(2)
  clock.nowMs = 299
  expect(await remembered.get()).toBe(3)
  expect(times()).toBe(3)
})

test('its age is from before it was read: it may have changed meanwhile', async () => {
  const { remembered, clock, times } = counted(async (count) => {
    clock.nowMs += 100
    return count
  })
  await remembered.get()
  await remembered.get()
  expect(times()).toBe(2)
})

test('one that may be wrong is read again soon, until it was', async () => {
  const { remembered, clock, times } = counted(async (count) => count)
  await remembered.get()
  remembered.distrust()
  expect(await remembered.get()).toBe(1)
  clock.nowMs = 10
  expect(await remembered.get()).toBe(2)
  clock.nowMs = 50
  expect(await remembered.get()).toBe(2)
  expect(times()).toBe(2)
})

test('where it cannot be read whoever asked is told, and what was known goes into the next try', async () => {
  const seen: (number | undefined)[] = []
  const { remembered, clock } = counted(async (count, before) => {
    seen.push(before)
    if (count === 2) throw new Error('away')
    return count
  })
  await remembered.get()
  clock.nowMs = 1_000
  await expect(remembered.get()).rejects.toThrow('away')
  expect(await remembered.get()).toBe(3)
  expect(seen).toEqual([undefined, 1, 1])
})
