import { nearest } from '../../worker-runtime/src/nearest.ts'

describe('the nearest valid name', () => {
  const valid = ['minReplicas', 'maxReplicas', 'mode', 'target', 'slots']
  test.each<[string, string | undefined]>([
    ['maxReplica', 'maxReplicas'],
    ['maxreplicas', 'maxReplicas'],
    ['mdoe', 'mode'],
    ['slot', 'slots'],
    ['tagret', 'target'],
    ['colour', undefined],
    ['', undefined],
  ])('to %p is %p', (name, expected) => {
    expect(nearest(name, valid)).toBe(expected)
  })

  test('among none is none', () => {
    expect(nearest('a', [])).toBeUndefined()
  })
})
