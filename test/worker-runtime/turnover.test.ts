import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { TurnoverMap } from '../../worker-runtime/src/turnover.ts'

test('a key is there from set to delete, and again after another set', () => {
  const map = new TurnoverMap<string, { n: number }>()
  expect(map.delete('a')).toBe(false)
  map.set('a', { n: 1 })
  map.set('a', { n: 2 })
  expect([map.size, map.get('a'), map.get('b')]).toEqual([1, { n: 2 }, undefined])
  expect([map.delete('a'), map.delete('a')]).toEqual([true, false])
  expect([map.size, map.get('a'), map.values()]).toEqual([0, undefined, []])
  map.set('a', { n: 3 })
  expect(map.entries()).toEqual([['a', { n: 3 }]])
  map.clear()
  expect([map.size, map.get('a')]).toEqual([0, undefined])
})

test('it has the same entries as a Map after thousands of them came and went', () => {
  const map = new TurnoverMap<number, { n: number }>()
  const model = new Map<number, { n: number }>()
  for (let n = 0; n < 5_000; n += 1) {
    map.set(n, { n })
    model.set(n, { n })
    // Some stay for long, most for a moment.
    const leaving = n % 7 === 0 ? n - 700 : n - 20
    expect(map.delete(leaving)).toBe(model.delete(leaving))
    expect(map.size).toBe(model.size)
  }
  expect(map.entries()).toEqual([...model])
})

test('what came and went leaves nothing in the old generation', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as (options?: { type: 'minor' }) => void
  const map = new TurnoverMap<number, { n: number; text: string }>()
  let n = 0
  const turnOver = (times: number) => {
    for (const end = n + times; n < end; n += 1) {
      map.set(n, { n, text: `text ${n} `.padEnd(400, 'x') })
      map.delete(n - 10)
    }
  }
  turnOver(1_000)
  collect() // its table is in the old generation now
  const before = oldBytes()
  for (let round = 0; round < 50; round += 1) {
    turnOver(400)
    collect({ type: 'minor' })
  }
  // With a Map it is all of them, some 8 MB.
  expect(oldBytes() - before).toBeLessThan(1_000_000)
})

const oldBytes = (): number =>
  getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space')?.space_used_size ?? 0
