// The language of filters: what each term means, what is refused and why, and that text and filter say the same.
import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { type Candidate, FilterInvalid, filterText, matches, parseFilter } from 'millhand/queue'
import { isLike, statesFor, textsOf } from '../../../worker-runtime/src/queue/filter.ts'

const NOW = Date.parse('2026-03-01T12:00:00Z')
const JOB: Candidate = {
  id: 'a-1',
  state: 'buried',
  task: 'SendMail',
  tags: ['order:42', 'vip'],
  worker: 'pod-7:1',
  error: 'v1:ab12',
  key: 'acme',
  atMs: NOW - 3_600_000,
  attempts: 3,
  hits: [true, false],
}
const isFound = (text: string, job: Partial<Candidate> = {}) =>
  matches(parseFilter(text, NOW), { ...JOB, ...job })

test.each([
  ['', true],
  ['state:buried', true],
  ['state:failed', true],
  ['state:failed,ready', true],
  ['state:ready', false],
  ['-state:ready', true],
  ['state:running', false],
  ['task:SendMail', true],
  ['task:Send*', true],
  ['task:*Mail', true],
  ['task:S*d*l', true],
  ['task:send*', false],
  ['-task:Send*', false],
  ['tag:order:42', true],
  ['tag:x,vip', true],
  ['tag:order', false],
  ['id:a-1,b', true],
  ['id:a', false],
  ['worker:pod-7:1', true],
  ['worker:pod-*', true],
  ['error:v1:ab*', true],
  ['key:acme', true],
  ['-key:ac*', false],
  ['since:2h', true],
  ['since:30m', false],
  ['-since:30m', true],
  ['until:30m', true],
  ['until:2026-03-01', false],
  ['since:2026-03-01T11:00', true],
  ['since:2026-03-01T11:00:00.001Z', false],
  ['since:2026-03-01T12:00+01:00', true],
  ['attempt:3', true],
  ['attempt:>=3 attempt:<4', true],
  ['attempt:>3', false],
  ['-attempt:<=2', true],
  ['"in the payload"', true],
  ['-"in the payload"', false],
  ['first second', false],
  ['first -second', true],
  ['state:buried task:Send* tag:vip since:2h "x"', true],
  ['STATE:buried', true],
])('%j finds the job: %j', (text, expected) => {
  expect(isFound(text)).toBe(expected)
})

test('a job without a worker, an error, a key or tags is found by the negation alone', () => {
  const plain = { ...JOB, worker: undefined, error: undefined, key: undefined, tags: undefined } as never
  for (const term of ['worker:*', 'error:*', 'key:*', 'tag:vip']) {
    expect(matches(parseFilter(term, NOW), plain)).toBe(false)
    expect(matches(parseFilter(`-${term}`, NOW), plain)).toBe(true)
  }
})

test.each([
  ['staet:ready', 'staet:', /no such field.*the fields are state, task, tag/],
  ['state:lost', 'state:lost', /the states are ready, delayed/],
  ['state:', 'state:', /the states are/],
  ['state:ready,', 'state:', /the states are/],
  ['tag:a b:c', 'b:', /no such field.*put text in quotes/],
  ['tag:ä', 'tag:ä', /a tag is 1 to 64/],
  [`id:${'x'.repeat(129)}`, `id:${'x'.repeat(129)}`, /an id is 1 to 128/],
  ['task:x/y', 'task:x/y', /a task is/],
  ['since:2', 'since:2', /use 30s, 10m/],
  ['since:2026-13-01', 'since:2026-13-01', /a time like/],
  ['until:tomorrow', 'until:tomorrow', /UTC where it names no zone/],
  ['attempt:many', 'attempt:many', /use attempt:3/],
  ['attempt:>=-1', 'attempt:>=-1', /use attempt:3/],
  ['"open', '"open', /end the text with "/],
  ['task:"open', 'task:"open', /a quote is not closed/],
  ['a"b"', 'a"b"', /put the whole text in quotes/],
  ['""', '""', /a text is empty/],
  ['-', '-', /a text is empty/],
  ['x '.repeat(21), 'x x x x x x x x x x ', /it has 21 terms; use at most 20|at most 20/],
  ['x'.repeat(1_001), `${'x'.repeat(20)}…`, /at most 1000/],
  [`id:${Array(51).fill('a')}`, 'id:', /it has 51 values/],
])('%j is refused: the error names the word %j and the remedy', (text, word, remedy) => {
  const refused = (() => {
    try {
      return parseFilter(text, NOW)
    } catch (error) {
      return error
    }
  })()
  expect(refused).toBeInstanceOf(FilterInvalid)
  expect(refused).toMatchObject({ code: 'FILTER_INVALID', word, message: expect.stringMatching(remedy) })
})

test('times are absolute: the same filter later is the same', () => {
  const text = filterText(parseFilter('since:2h -until:1d state:failed', NOW))
  expect(text).toBe('since:2026-03-01T10:00:00.000Z -until:2026-02-28T12:00:00.000Z state:buried')
  expect(parseFilter(text, NOW + 1e9)).toEqual(parseFilter(text, NOW))
})

test('the text of a filter means the filter', () => {
  const name = fc.stringMatching(/^[a-z]{1,8}$/)
  const term = fc.oneof(
    fc.constantFrom('state:ready', 'state:held,buried', 'since:5m', 'attempt:>=2', 'attempt:7', 'task:a*'),
    name.map((tag) => `tag:${tag}`),
    fc.string({ minLength: 1, maxLength: 10 }).map((text) => `"${text.replaceAll(/["\\]/g, '\\$&')}"`),
  )
  const signed = fc.tuple(fc.boolean(), term).map(([isNegated, text]) => (isNegated ? `-${text}` : text))
  fc.assert(
    fc.property(fc.array(signed, { maxLength: 8 }), (words) => {
      const filter = parseFilter(words.join(' '), NOW)
      expect(filter.terms).toHaveLength(words.length)
      expect(parseFilter(filterText(filter), 0)).toEqual(filter)
    }),
  )
})

test('any text is read or refused, in time that does not explode', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 1_000 }), (text) => {
      try {
        matches(parseFilter(text, NOW), JOB)
      } catch (error) {
        expect(error).toBeInstanceOf(FilterInvalid)
      }
    }),
  )
  expect(isLike('a'.repeat(200_000), `${'*a'.repeat(50)}*b`)).toBe(false)
})

test('a text keeps its spaces, quotes and backslashes', () => {
  expect(textsOf(parseFilter(String.raw`"a \"b\" \\ c" word -"no"`, NOW))).toEqual([
    'a "b" \\ c',
    'word',
    'no',
  ])
})

test('the states of a filter are those that all its terms allow', () => {
  const states = (text: string) => statesFor(parseFilter(text, NOW))
  expect(states('state:ready,held -state:held')).toEqual(['ready'])
  expect(states('state:ready state:held')).toEqual([])
  expect(states('task:x')).toHaveLength(7)
})

describe('docs/commands.md', () => {
  const page = readFileSync(new URL('../../../docs/commands.md', import.meta.url), 'utf8')
  const rows = [...(page.split('## Filters')[1] ?? '').matchAll(/^\| (`\w.*`|text) \|.*\| (`.*`) \|$/gm)]
  const examples = rows.flatMap(([, , column = '']) =>
    [...column.matchAll(/`([^`]+)`/g)].map(([, text]) => text),
  )
  const job: Candidate = {
    ...{ id: 'report-1', state: 'buried', task: 'thumbnail', tags: ['order:42'], key: 'acme' },
    ...{ worker: 'mail-7d4b9:1', error: 'v1:0123456789abcdef', attempts: 3, hits: [true] },
    atMs: Date.parse('2026-01-31T07:30Z'),
  }

  test('has a row for each field, and one for texts', () => {
    const named = rows.flatMap(([, names = '']) => names.replaceAll('`', '').split(', '))
    const [, known = ''] = /the fields are (.*);/.exec(String(refusalOf('nothing:x'))) ?? []
    expect(named.sort()).toEqual([...known.split(', '), 'text'].sort())
  })

  test.each(examples)('%s finds a job', (example = '') => {
    const filter = parseFilter(example, Date.parse('2026-01-31T09:00Z'))
    const attempts = example.includes('attempt:') ? Number(/\d+/.exec(example)?.[0]) : 3
    expect(matches(filter, { ...job, attempts })).toBe(true)
    const other = { id: 'x', state: 'ready', task: 'x', attempts: 0, hits: [false] }
    expect(matches(filter, { ...other, atMs: /^since/.test(example) ? 0 : 2 ** 42 })).toBe(false)
  })
})

function refusalOf(text: string): unknown {
  try {
    return parseFilter(text, NOW)
  } catch (error) {
    return error
  }
}
