import { Holdings } from '../../../worker-runtime/src/worker/holdings.ts'

const completed = (id: string, token: string) => ({ id, token, verdict: 'completed', text: '' }) as const
const handedBack = (id: string, token: string) =>
  ({ id, token, verdict: 'handed-back', text: 'answer-lost' }) as const

function holding(...jobs: [id: string, token: string][]): Holdings<string> {
  const holdings = new Holdings<string>()
  for (const [id, token] of jobs) {
    holdings.claimed({ id, token, attempt: 1 })
    holdings.started({ id, token }, `attempt of ${id}`)
  }
  return holdings
}

test('a job is held from its claim until Redis has answered for its end', () => {
  const holdings = holding(['a', '1'])
  expect(holdings.ended(completed('a', '1'))).toBe(true)
  expect({ size: holdings.size, hasEnded: holdings.hasEnded }).toEqual({ size: 1, hasEnded: true })
  const settling = holdings.takeEnded()
  expect({ settling, size: holdings.size }).toEqual({ settling: [completed('a', '1')], size: 1 })
  holdings.settled(settling)
  expect({ size: holdings.size, hasEnded: holdings.hasEnded }).toEqual({ size: 0, hasEnded: false })
})

test('what belongs to an earlier hold of a job is dropped', () => {
  const holdings = holding(['a', '1'])
  holdings.claimed({ id: 'a', token: '2', attempt: 2 })
  expect(holdings.started({ id: 'a', token: '1' }, 'late')).toBe(false)
  expect(holdings.ended(completed('a', '1'))).toBe(false)
  holdings.settled([completed('a', '1')])
  expect({ size: holdings.size, hasEnded: holdings.hasEnded }).toEqual({ size: 1, hasEnded: false })
  expect([holdings.attemptOf({ id: 'a', token: '1' }), holdings.attemptOf({ id: 'a', token: '2' })]).toEqual([
    undefined,
    2,
  ])
})

test('when an answer is lost, what it was about is settled again before what has ended since', () => {
  const holdings = holding(['a', '1'], ['b', '2'])
  holdings.ended(completed('a', '1'))
  const settling = holdings.takeEnded()
  holdings.ended(completed('b', '2'))
  holdings.unsettled(settling)
  expect(holdings.takeEnded()).toEqual([completed('a', '1'), completed('b', '2')])
})

describe('adopting what Redis says is held', () => {
  test('attempts of jobs that it does not name, or names under another token, are lost', () => {
    const holdings = holding(['a', '1'], ['b', '2'], ['c', '3'])
    holdings.ended(completed('b', '2'))
    const lost = holdings.adopt([
      { id: 'a', token: '1' },
      { id: 'c', token: '9' },
    ])
    expect(lost).toEqual(['attempt of b', 'attempt of c'])
    expect(holdings.takeEnded()).toEqual([handedBack('c', '9')])
    expect(holdings.running()).toEqual(['attempt of a'])
  })

  test('a job that only Redis knows was claimed by a lost answer: it is handed back', () => {
    const holdings = holding()
    expect(holdings.adopt([{ id: 'a', token: '7' }])).toEqual([])
    expect(holdings.takeEnded()).toEqual([handedBack('a', '7')])
    expect(holdings.size).toBe(1)
  })

  test('what has ended and is still held there stays to be settled', () => {
    const holdings = holding(['a', '1'])
    holdings.ended(completed('a', '1'))
    expect(holdings.adopt([{ id: 'a', token: '1' }])).toEqual([])
    expect(holdings.takeEnded()).toEqual([completed('a', '1')])
  })
})

test('when all is dropped, the attempts that ran are answered, and nothing is left to settle', () => {
  const holdings = holding(['a', '1'], ['b', '2'])
  holdings.claimed({ id: 'not started', token: '3' })
  holdings.ended(completed('a', '1'))
  expect(holdings.drop()).toEqual(['attempt of a', 'attempt of b'])
  expect({ size: holdings.size, hasEnded: holdings.hasEnded }).toEqual({ size: 0, hasEnded: false })
})

test('only what has started has a token to tell usage by', () => {
  const holdings = holding(['a', '1'])
  holdings.claimed({ id: 'b', token: '2' })
  expect(holdings.tokens()).toEqual([{ token: '1', running: 'attempt of a' }])
  expect([holdings.runningOf('a'), holdings.runningOf('b'), holdings.runningOf('c')]).toEqual([
    'attempt of a',
    undefined,
    undefined,
  ])
})

describe('a job that an enqueue gave to the worker', () => {
  test('is held, and counted until the next resync', () => {
    const holdings = holding()
    expect(holdings.givenBy({ id: 'a', token: '5', attempt: 1 })).toBe(true)
    expect({ size: holdings.size, given: holdings.given }).toEqual({ size: 1, given: 1 })
    holdings.adopt([{ id: 'a', token: '5' }])
    expect({ size: holdings.size, given: holdings.given }).toEqual({ size: 1, given: 0 })
  })

  test('is not run where a resync was faster than its message, and has handed it back', () => {
    const holdings = holding()
    holdings.adopt([{ id: 'a', token: '5' }])
    holdings.settled(holdings.takeEnded())
    expect(holdings.givenBy({ id: 'a', token: '5', attempt: 1 })).toBe(false)
    expect(holdings.size).toBe(0)
    expect(holdings.givenBy({ id: 'b', token: '6', attempt: 1 })).toBe(true)
  })
})
