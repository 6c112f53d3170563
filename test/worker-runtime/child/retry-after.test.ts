// A task that throws RetryAfter, in each kind of child.
import { RetryAfter } from 'millhand'
import { startTiny, type Tiny } from './tiny-children.ts'

describe.each(['Fork', 'Spawn', 'Reuse'] as const)('with %s', (mode) => {
  let tiny: Tiny
  beforeAll(async () => {
    tiny = await startTiny(mode)
  }, 60_000)
  afterAll(() => tiny.stop())

  test('a task asks for a rest', async () => {
    expect(await tiny.perform('asks-for-rest', { ms: 1_500, pause: 'key' })).toMatchObject({
      kind: 'rests',
      rest: { ms: 1_500, pause: 'key' },
      error: { name: 'RetryAfter', message: 'the task asks for a rest of 1500 ms (key)' },
    })
  })

  test('a rest that cannot be has failed, with the remedy', async () => {
    expect(await tiny.perform('asks-for-rest', { ms: -1, pause: 'key' })).toMatchObject({
      kind: 'failed',
      error: {
        name: 'RangeError',
        message: expect.stringContaining('use a whole number of ms from 1 to 1e12'),
      },
    })
  })
})

test.each([
  [0, 'job'],
  [1.5, 'job'],
  [Number.NaN, 'job'],
  [1e13, 'job'],
  [1, 'worker'],
])('RetryAfter(%p, %p) is refused', (ms, pause) => {
  expect(() => new RetryAfter(ms, { pause: pause as 'job' })).toThrow(/^invalid RetryAfter/)
})
