import { parseBytes, parseQuantity } from '../../../control/src/resources/quantity.ts'

describe('a quantity', () => {
  test.each<[string | number, number | undefined]>([
    ['512Mi', 512 * 2 ** 20],
    ['1.5Gi', 1.5 * 2 ** 30],
    ['1k', 1000],
    ['2M', 2e6],
    ['500m', 0.5],
    ['1e3', 1000],
    ['1E3', 1000],
    ['2E', 2e18],
    ['.5', 0.5],
    ['1.', 1],
    ['+3', 3],
    ['-3', -3],
    [7, 7],
    ['', undefined],
    ['Mi', undefined],
    ['1K', undefined],
    ['1 Mi', undefined],
    ['1MiB', undefined],
    [Number.NaN, undefined],
  ])('%p is %p', (quantity, value) => {
    expect(parseQuantity(quantity)).toBe(value)
  })

  test('in bytes a part of a byte counts as one, and less than nothing is none', () => {
    expect(parseBytes('1500m')).toBe(2)
    expect(parseBytes('-1')).toBeUndefined()
  })
})
