import { type Measured, measure, rateOf } from '../../../control/src/decide/rates.ts'

/** Ten jobs a second of 2 s each: in a steady state 20 are busy. */
function steady(seconds: number): Measured {
  let measured = measure(undefined, { enqueued: 0, ended: 0, busy: 20 }, 0)
  for (let second = 1; second <= seconds; second++) {
    measured = measure(measured, { enqueued: second * 10, ended: second * 10, busy: 20 }, second * 1000)
  }
  return measured
}

describe('the measured rate of a queue', () => {
  test('is unknown at first, and while no attempt has ended', () => {
    const first = measure(undefined, { enqueued: 5, ended: 5, busy: 0 }, 0)
    expect(rateOf(first)).toBeUndefined()
    expect(rateOf(measure(first, { enqueued: 9, ended: 5, busy: 4 }, 1000))).toBeUndefined()
  })

  test('is how many jobs come and how long they take', () => {
    const rate = rateOf(steady(120))
    expect(rate?.jobsPerSecond).toBeCloseTo(10, 1)
    expect(rate?.meanDurationMs).toBeCloseTo(2000, -1)
  })

  test('forgets what was long ago', () => {
    let measured = steady(60)
    const { enqueued, ended } = measured.last
    for (let second = 61; second <= 400; second++)
      measured = measure(measured, { enqueued, ended, busy: 0 }, second * 1000)
    expect(rateOf(measured)?.jobsPerSecond ?? 0).toBeLessThan(0.5)
  })

  test('begins anew when the counters fall back', () => {
    expect(rateOf(measure(steady(60), { enqueued: 1, ended: 0, busy: 0 }, 61_000))).toBeUndefined()
  })
})
