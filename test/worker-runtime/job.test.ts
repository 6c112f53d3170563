// Text from Redis and options from users, at the border.
import { parsePayload } from '../../worker-runtime/src/child/inside/values.ts'
import { completedText, newJob, parseEnded, parseEnvelope } from '../../worker-runtime/src/job.ts'
import { newJobId } from '../../worker-runtime/src/job-id.ts'

test('generated ids are short, ordered by time and do not repeat', () => {
  const ids = Array.from({ length: 100_000 }, newJobId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids.slice(0, 100)) expect(id).toMatch(/^[0-9a-z]{20}$/)
  expect(ids[0] && ids[99_999] && ids[0].slice(0, 8) <= ids[99_999].slice(0, 8)).toBe(true)
})

test.each([
  [{ delayMs: -1 }, 'invalid delayMs -1: use a whole number of at least 0'],
  [{ delayMs: Number.NaN }, 'invalid delayMs NaN: use a whole number of at least 0'],
  [{ delayMs: null }, 'invalid delayMs null: use a whole number'],
  [{ delayMs: '' }, 'invalid delayMs "": use a whole number'],
  [{ delayMs: '5' }, 'invalid delayMs "5": use a whole number'],
  [{ delayMs: Number.POSITIVE_INFINITY }, 'invalid delayMs Infinity: use a whole number'],
  [{ delayMs: 2e12 }, 'and at most 1000000000000'],
  [{ maxAttempts: 0 }, 'invalid maxAttempts 0: use a whole number of at least 1'],
  [{ maxAttempts: false }, 'invalid maxAttempts false'],
  [{ timeoutMs: 1.5 }, 'invalid timeoutMs 1.5'],
  [{ delayMs: 1, at: new Date() }, 'give delayMs or at, not both'],
  [{ at: new Date('no') }, 'invalid at an invalid Date: use a valid Date'],
  [{ at: '2026-12-31' }, 'invalid at "2026-12-31": use a valid Date'],
  [{ at: null }, 'invalid at null'],
  [{ at: 0 }, 'invalid at 0'],
  [{ priority: 'asap' }, 'invalid priority "asap": use one of urgent, high, normal, low'],
  [{ priority: null }, 'invalid priority null'],
  [{ id: '' }, 'invalid id "": use a text of 1 to 128'],
  [{ id: 5 }, 'invalid id 5'],
  [{ id: null }, 'invalid id null'],
  [{ delayMS: 5 }, 'unknown option of a job "delayMS": did you mean delayMs?'],
  [{ maxAttempt: 5 }, 'did you mean maxAttempts?'],
  [{ retries: 5 }, 'unknown option of a job "retries": known are id, key, tags, unique, priority, delayMs'],
  [{ __proto__: null, constructor: 1 }, 'unknown option of a job "constructor"'],
  [null, 'invalid options of a job (null)'],
  [5, 'invalid options of a job (5)'],
  [[], 'invalid options of a job (an array)'],
])('the options %j are refused with the field, the value and the remedy', (options, message) => {
  expect(() => newJob('task', null, options as never)).toThrow(TypeError)
  expect(() => newJob('task', null, options as never)).toThrow(message)
})

test.each([undefined, null, '', 5, {}, () => {}, ['task'], 'a b'])('%p is no name of a task', (name) => {
  expect(() => newJob(name as never, null)).toThrow(/^invalid task name /)
})

test('an option that is undefined is absent', () => {
  const { id, ...rest } = newJob('task', null, { id: undefined, delayMs: undefined, at: undefined } as never)
  expect(rest).toEqual({ lane: 'normal', flags: '0', when: '', call: 'task', payload: 'null' })
  expect(id).toHaveLength(20)
})

test.each([[() => {}], [Symbol('x')], [10n], [circle()]])(
  'a payload that is no JSON is refused (%#)',
  (payload) => {
    expect(() => newJob('send', payload)).toThrow(/the payload of send cannot be written as JSON/)
  },
)

test('a payload is written as JSON.stringify writes it, numbers that were kept as text too', () => {
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown }
  const input = { id: rawJSON('9007199254740993'), e: rawJSON('1e400') }
  expect(newJob('task', input).payload).toBe('{"id":9007199254740993,"e":1e400}')
})

test('no input is told from null', () => {
  const read = (input: unknown, options = {}) => {
    const { lane, call, payload } = newJob('task', input, options)
    return { payload, read: parseEnvelope(`20 ${lane} 1795366013184 ${call}\n${payload}`)?.payload }
  }
  expect(read(undefined)).toEqual({ payload: 'null', read: '' })
  expect(read(undefined, { maxAttempts: 2, timeoutMs: 5 })).toEqual({ payload: 'null', read: '' })
  expect(read(null)).toEqual({ payload: 'null', read: 'null' })
  expect([parsePayload(''), parsePayload('null')]).toEqual([undefined, null])
})

test('an envelope is read as it was written; anything else is not guessed at', () => {
  const { call, payload, lane } = newJob(
    'resize',
    { a: 'b\nc' },
    { timeoutMs: 5_000, maxAttempts: 2, priority: 'high' },
  )
  expect(parseEnvelope(`20 ${lane} 1795366013184 ${call}\n${payload}`)).toEqual({
    lane: 'high',
    enqueuedAtMs: 1795366013184,
    task: 'resize',
    timeoutMs: 5_000,
    tags: [],
    uniqueKey: undefined,
    payload: '{"a":"b\\nc"}',
  })
  for (const text of ['', '20 high', '1. high 1 a -\n{}', '20 nolane 1 a\n{}', '=c 1 1 1 a\nnull'])
    expect(parseEnvelope(text)).toBeUndefined()
  const later = parseEnvelope('25 high/a-key 1 a k=b i=01 t=7 z=x\n{}')
  expect(later).toEqual({
    lane: 'high/a-key',
    enqueuedAtMs: 1,
    task: 'a',
    timeoutMs: 7,
    tags: [],
    payload: '{}',
  })
})

test('tags are named in the header, each once, beside the flag of a key', () => {
  const tags = ['order:42', 'a@b/c', 'order:42']
  const { flags, call } = newJob('a', null, { tags })
  expect([flags, call]).toEqual(['4', 'a g=order:42,a@b/c'])
  expect(newJob('a', null, { tags, key: 'k' }).flags).toBe('6')
  expect(newJob('a', null, { tags: [] })).toMatchObject({ flags: '0', call: 'a' })
  expect(parseEnvelope(`24 normal 1 ${call}\n1`)?.tags).toEqual(['order:42', 'a@b/c'])
  const longest = Array.from({ length: 5 }, (_, n) => `${n}`.padEnd(64, 'x'))
  const numbers = {
    maxAttempts: 1e12,
    backoffMs: 1e12,
    maxBackoffMs: 1e12,
    maxCrashes: 1e12,
    timeoutMs: 1e12,
  }
  const unique = { key: 'u'.repeat(128), while: { forMs: 1e12 } }
  const job = newJob('t'.repeat(100), undefined, { tags: longest, key: 'k'.repeat(128), unique, ...numbers })
  const header = `2${job.flags} ${job.lane} 1795366013184 ${job.call} d=1795366013184`
  expect(header.length).toBeLessThan(1_200)
  expect(parseEnvelope(`${header}\nnull`)).toMatchObject({
    tags: longest,
    uniqueKey: unique.key,
    payload: '',
  })
})

test.each([
  ['a'],
  [['']],
  [['a b']],
  [['a,b']],
  [[1]],
  [['x'.repeat(65)]],
  [Array(6).fill('a')],
  [['ä']],
  [null],
])('the tags %j are refused', (tags) => {
  expect(() => newJob('a', null, { tags: tags as string[] })).toThrow(/tags.*at most 5 texts/)
})

test('an outcome keeps facts, result and output', () => {
  const envelope = {
    lane: 'normal' as const,
    enqueuedAtMs: 1_000,
    task: 'resize',
    timeoutMs: undefined,
    dueAtMs: undefined,
    expiresAtMs: undefined,
    tags: [],
    uniqueKey: undefined,
    headers: undefined,
    payload: '{}',
  }
  const facts = { durationMs: 12.4, cpuUserMs: 9, cpuSystemMs: 1, maxRssBytes: 50 * 1024 * 1024 }
  const output = 'line 1\nline 2\n'
  const text = completedText(envelope, { facts: { ...facts, output }, result: '{"ok":true}' })
  const outcome = `=c ${(5_000).toString(16)} 2+1 ${(4_000).toString(16)} ${text.slice(text.indexOf(' ') + 1)}`
  expect(parseEnded(outcome)).toEqual({
    state: 'completed',
    endedAtMs: 5_000,
    attempts: 2,
    crashes: 1,
    enqueuedAtMs: 1_000,
    task: 'resize',
    facts: { ...facts, durationMs: 12 },
    result: '{"ok":true}',
    output,
  })
  expect(parseEnded('=c nonsense')).toBeUndefined()
})

function circle(): unknown {
  const round: Record<string, unknown> = {}
  round.itself = round
  return round
}

test.each([
  [{}, '8', 'a u=uk:acme'],
  [{ while: 'unfinished', onDuplicate: 'keep' }, '8', 'a u=uk:acme'],
  [{ while: 'waiting', onDuplicate: 'replace' }, '8', 'a u=wr:acme'],
  [{ while: { forMs: 60_000 }, onDuplicate: 'runAgain' }, '8', 'a u=f60000a:acme'],
] as const)('the unique key with %j is named in the header', (unique, flags, call) => {
  const job = newJob('a', null, { unique: { key: 'acme', ...unique } })
  expect(job).toMatchObject({ flags, call })
  expect(parseEnvelope(`2${job.flags} normal 1 ${job.call}\n1`)).toMatchObject({ uniqueKey: 'acme' })
})

test('the flags of a job are one character, however many it has', () => {
  const unique = { key: 'u' }
  expect(newJob('a', null, { unique, key: 'k' }).flags).toBe(':')
  expect(newJob('a', null, { unique, key: 'k', tags: ['t'] }).flags).toBe('>')
})

test.each([
  [null],
  ['acme'],
  [{}],
  [{ key: 'a b' }],
  [{ key: 'acme', while: 'running' }],
  [{ key: 'acme', while: { forMs: 0 } }],
  [{ key: 'acme', while: { forMs: 1, other: 2 } }],
  [{ key: 'acme', onDuplicate: 'drop' }],
  [{ key: 'acme', forMs: 5 }],
])('unique %j is refused', (unique) => {
  expect(() => newJob('a', null, { unique: unique as { key: string } })).toThrow(
    /^invalid unique .*: use { key/,
  )
})
