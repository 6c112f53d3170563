// The scenarios: people find each of them in the README, and B23 holds what keys may cost.
import { readFileSync } from 'node:fs'
import type { Results, Spread } from '../../bench/scenario.ts'
import { b23 } from '../../bench/scenarios/b23-keys.ts'
import { scenarios } from '../../bench/scenarios/index.ts'

const readme = readFileSync(new URL('../../bench/README.md', import.meta.url), 'utf8')

test.each(scenarios.map(({ id }) => id))(
  '%s has a row in the README, and no other scenario its name',
  (id) => {
    expect(readme).toContain(`\n| ${id} | `)
    expect(scenarios.filter((each) => each.id === id)).toHaveLength(1)
  },
)

/** One round, in which each variant drained so many jobs a second. */
function resultsOf(rates: Record<string, number>): Results {
  const spreadOf = (value: number | undefined): Spread | undefined =>
    value === undefined ? undefined : { median: value, min: value, max: value }
  return {
    figure: (_peer, _name, variant = '') => spreadOf(rates[variant]),
    ratio: (_peer, _to, _name, [variant, base] = ['', '']) => {
      const [of, to] = [rates[variant], rates[base]]
      return of === undefined || to === undefined ? undefined : spreadOf(of / to)
    },
  }
}

const AS_DEMANDED = {
  'no key': 40_000,
  '1 key': 39_000,
  '1,000 keys': 20_000,
  '100,000 keys': 17_000,
  '1,000 keys, 2 busy each': 20_000,
}

test.each([
  ['all as demanded', {}, [true, true, true]],
  ['a job with a key more than twice a plain one', { '1,000 keys': 19_900 }, [false, true, true]],
  ['a limit more than that', { '1,000 keys, 2 busy each': 19_900 }, [true, false, true]],
  ['a hundred times the keys at another price', { '100,000 keys': 16_900 }, [true, true, false]],
])('B23 judges %s', (_what, rates, held) => {
  const criteria = b23.criteria(resultsOf({ ...AS_DEMANDED, ...rates }))
  expect(criteria.map((each) => each.held)).toEqual(held)
})

test('B23 judges nothing that a run has not measured', () => {
  expect(b23.criteria(resultsOf({ 'no key': 40_000 })).map((each) => each.held)).toEqual(
    Array(3).fill(undefined),
  )
})
