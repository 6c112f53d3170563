// Texts of figures are added up as their names and numbers say, whatever stands beside them.
import fc from 'fast-check'
import { addText, placesFor, timesIn } from '../../../worker-runtime/src/queue/figure-sums.ts'
import { TIME_BUCKETS } from '../../../worker-runtime/src/queue/log-buckets.ts'

const AMOUNTS = ['completed', 'failed', 'waitMs']
const figure = fc.tuple(
  fc.oneof(
    fc.constantFrom(...AMOUNTS, 'runMs', 'timed-out', 'wait:', 'wait:x', 'waiting:3', 'r:1', ''),
    fc.integer({ min: 0, max: 140 }).map((n) => `wait:${n}`),
    fc.integer({ min: 0, max: 140 }).map((n) => `run:${n}`),
  ),
  fc.oneof(fc.nat(1_000).map(String), fc.constantFrom('-1', '1.5', 'x', '', '9'.repeat(17))),
)

test('each figure that is asked for has its sum, and what is no number counts nothing', () => {
  const places = placesFor([...AMOUNTS, 'failed'], ['wait', 'wait'])
  fc.assert(
    fc.property(fc.array(fc.array(figure, { maxLength: 20 }), { maxLength: 5 }), (texts) => {
      const sum = new Float64Array(places.size)
      const expected = new Map<string, number>()
      for (const text of texts) {
        addText(sum, text.map(([name, n]) => `${name} ${n}`).join(' '), places)
        for (const [name, n] of text)
          if (/^\d{1,16}$/.test(n)) expected.set(name, (expected.get(name) ?? 0) + Number(n))
      }
      for (const name of AMOUNTS) expect(sum[places.amounts.get(name) ?? -1]).toBe(expected.get(name) ?? 0)
      const times = Array.from({ length: TIME_BUCKETS }, (_, n) => expected.get(`wait:${n}`) ?? 0)
      expect([...timesIn(sum, places, 'wait')]).toEqual(times)
    }),
  )
  expect(places.size).toBe(AMOUNTS.length + TIME_BUCKETS)
})
