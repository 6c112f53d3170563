// Text from Redis and options from users, at the border.
import { completedText, newJob, newJobId, parseEnded, parseEnvelope } from '../../worker-runtime/src/job.ts'

test('generated ids are short, ordered by time and do not repeat', () => {
  const ids = Array.from({ length: 100_000 }, newJobId)
  expect(new Set(ids).size).toBe(ids.length)
  for (const id of ids.slice(0, 100)) expect(id).toMatch(/^[0-9a-z]{20}$/)
  expect(ids[0] && ids[99_999] && ids[0].slice(0, 8) <= ids[99_999].slice(0, 8)).toBe(true)
})

test.each([
  [{ delayMs: -1 }, 'delayMs is -1; it is a whole number of at least 0'],
  [{ maxAttempts: 0 }, 'maxAttempts is 0; it is a whole number of at least 1'],
  [{ timeoutMs: 1.5 }, 'timeoutMs is 1.5'],
  [{ delayMs: 1, at: new Date() }, 'give delayMs or at, not both'],
  [{ at: new Date('no') }, 'at is no valid Date'],
  [{ priority: 'asap' }, 'priority is "asap"; it is one of urgent, high, normal, low'],
])('the options %j are refused with the field, the value and the remedy', (options, message) => {
  expect(() => newJob('task', null, options as never)).toThrow(message)
})

test.each([[() => {}], [Symbol('x')], [10n], [circle()]])(
  'a payload that is no JSON is refused (%#)',
  (payload) => {
    expect(() => newJob('send', payload)).toThrow(/the payload of send cannot be written as JSON/)
  },
)

test('an envelope is read as it was written; anything else is not guessed at', () => {
  const { call, payload, lane } = newJob(
    'resize',
    { a: 'b\nc' },
    { timeoutMs: 5_000, maxAttempts: 2, priority: 'high' },
  )
  expect(parseEnvelope(`1. ${lane} 1795366013184 ${call}\n${payload}`)).toEqual({
    lane: 'high',
    enqueuedAtMs: 1795366013184,
    task: 'resize',
    timeoutMs: 5_000,
    payload: '{"a":"b\\nc"}',
  })
  for (const text of ['', '1. high', '2. high 1 a -\n{}', '1. nolane 1 a -\n{}', '=c 1 1 1 a\nnull'])
    expect(parseEnvelope(text)).toBeUndefined()
})

test('an outcome keeps facts, result and output', () => {
  const envelope = {
    lane: 'normal' as const,
    enqueuedAtMs: 1_000,
    task: 'resize',
    timeoutMs: undefined,
    payload: '{}',
  }
  const facts = { durationMs: 12.4, cpuUserMs: 9, cpuSystemMs: 1, maxRssBytes: 50 * 1024 * 1024 }
  const text = completedText(envelope, facts, '{"ok":true}', 'line 1\nline 2\n')
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
    output: 'line 1\nline 2\n',
  })
  expect(parseEnded('=c nonsense')).toBeUndefined()
})

function circle(): unknown {
  const round: Record<string, unknown> = {}
  round.itself = round
  return round
}
