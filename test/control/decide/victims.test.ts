import { type Candidate, chooseVictims } from '../../../control/src/decide/victims.ts'

function candidate(podUid: string, startedAtMs: number, rest: Partial<Candidate> = {}): Candidate {
  return { podUid, startedAtMs, held: 0, isDraining: false, ...rest }
}

describe('the workers that go', () => {
  const busy = { held: 2 }
  const draining = { isDraining: true }
  const rows: [string, Candidate[], number, string[]][] = [
    [
      'are the idle ones first',
      [candidate('old', 1), candidate('young', 9, busy), candidate('middle', 5, busy)],
      1,
      ['old'],
    ],
    [
      'are the youngest of the idle',
      [candidate('old', 1), candidate('young', 9), candidate('middle', 5)],
      2,
      ['young', 'middle'],
    ],
    [
      'are the youngest of the busy when none is idle',
      [candidate('old', 1, busy), candidate('young', 9, busy)],
      1,
      ['young'],
    ],
    ['stay the ones that drain already', [candidate('old', 1, draining), candidate('young', 9)], 1, ['old']],
    [
      'stay the busy ones that drain already',
      [candidate('old', 1, { ...busy, ...draining }), candidate('young', 9, busy)],
      1,
      ['old'],
    ],
    [
      'are rather idle than busy ones that drain',
      [candidate('old', 1, { ...busy, ...draining }), candidate('young', 9)],
      1,
      ['young'],
    ],
    ['are none when none is to go', [candidate('old', 1)], 0, []],
    ['are none when fewer than none are to go', [candidate('old', 1)], -2, []],
    [
      'are all when more are to go than there are',
      [candidate('a', 1), candidate('b', 2, busy)],
      5,
      ['a', 'b'],
    ],
    ['are the same at every look', [candidate('b', 1), candidate('a', 1)], 1, ['a']],
  ]
  test.each(rows)('%s', (_, candidates, count, expected) => {
    expect(chooseVictims(candidates, count)).toEqual(expected)
  })
})
