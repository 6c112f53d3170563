// How many rows of a list are new.
import { freshIn } from '../../../dashboard/web/app/fresh.ts'

const page = (marks: string, cursor?: string) => ({ rows: [...marks].map((mark) => ({ mark })), cursor })

test.each([
  ['nothing changed', page('abc', 'more'), page('abc', 'more'), 0],
  ['two came first', page('abc', 'more'), page('xyab', 'more'), 2],
  ['two left, and two that are older moved up', page('abcd', 'more'), page('adef', 'more'), 0],
  ['one left, one came, one moved up', page('abcd', 'more'), page('xacd', 'more'), 1],
  ['all that there is was shown: what stands behind it is new', page('abc'), page('abcde', 'more'), 2],
  ['none of those that were shown is there', page('abc', 'more'), page('xyz', 'more'), 3],
  ['nothing was shown', page(''), page('ab'), 2],
])('%s', (_, shown, now, expected) => expect(freshIn(shown, now)).toBe(expected))
