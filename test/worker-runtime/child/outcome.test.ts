import { judge, type Seen } from '../../../worker-runtime/src/child/outcome.ts'

const seen: Seen = { accepted: true, lastWords: '', startedAtMs: 1_000, endedAtMs: 1_250, usage: {} }
const succeeded = { kind: 'succeeded', id: 1, usage: { cpuUserMs: 7 }, result: '42' } as const
const failed = {
  kind: 'failed',
  id: 1,
  usage: {},
  error: { name: 'E', message: 'm' },
  terminal: true,
  spoilsChild: false,
} as const
const why = (kind: NonNullable<Seen['cause']>['kind']) => ({ kind, message: 'because' })

test.each<[string, Partial<Seen>, object]>([
  ['a result', { result: succeeded }, { kind: 'succeeded', result: '42' }],
  ['an error', { result: failed }, { kind: 'failed', error: failed.error, terminal: true }],
  [
    'a result that is too large',
    { result: { kind: 'result-too-large', id: 1, usage: {}, bytes: 9 } },
    { kind: 'output-limit', message: expect.stringContaining('9 bytes') },
  ],
  [
    'a result although the child died after it',
    { result: succeeded, ending: { signal: 'SIGKILL' } },
    { kind: 'succeeded' },
  ],
  ['out of time', { cause: why('timed-out'), ending: { signal: 'SIGKILL' } }, { kind: 'timed-out' }],
  [
    'out of time, even with a late result',
    { cause: why('timed-out'), result: succeeded },
    { kind: 'timed-out' },
  ],
  [
    'cancelled, even with a late result',
    { cause: why('cancelled'), result: succeeded },
    { kind: 'cancelled' },
  ],
  [
    'a lost hold, even with a late result',
    { cause: why('lost-hold'), result: succeeded },
    { kind: 'lost-hold' },
  ],
  ['handed back', { cause: why('handed-back'), ending: { exitCode: 143 } }, { kind: 'handed-back' }],
  [
    'handed back, but finished in the grace',
    { cause: why('handed-back'), result: succeeded },
    { kind: 'succeeded' },
  ],
  [
    'handed back, and failed in the grace',
    { cause: why('handed-back'), result: failed },
    { kind: 'handed-back' },
  ],
  [
    'handed over while the worker drains',
    { isDraining: true, result: { kind: 'handed-over', id: 1, usage: {} } },
    { kind: 'handed-back', message: 'the task handed its job over' },
  ],
  [
    'handed over to nobody',
    { result: { kind: 'handed-over', id: 1, usage: {} } },
    { kind: 'failed', error: { name: 'HandOver', message: expect.stringContaining('does not drain') } },
  ],
  [
    'cancelled, and handed over after that',
    { isDraining: true, cause: why('cancelled'), result: { kind: 'handed-over', id: 1, usage: {} } },
    { kind: 'cancelled' },
  ],
  [
    'too much memory',
    { cause: why('out-of-memory'), ending: { signal: 'SIGKILL' } },
    { kind: 'out-of-memory' },
  ],
  [
    'too much output',
    { cause: why('output-limit'), ending: { signal: 'SIGKILL' } },
    { kind: 'output-limit' },
  ],
  [
    'a broken message',
    { cause: why('broken'), ending: { signal: 'SIGKILL' } },
    { kind: 'failed', error: { name: 'BrokenChild', message: 'because' }, terminal: false },
  ],
  [
    'a signal',
    { ending: { signal: 'SIGSEGV' } },
    { kind: 'killed', message: expect.stringContaining('SIGSEGV') },
  ],
  [
    'an exit without a result',
    { ending: { exitCode: 0 } },
    { kind: 'exited', message: expect.stringContaining('code 0') },
  ],
  [
    'a full V8 heap',
    {
      ending: { signal: 'SIGABRT' },
      lastWords: 'FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory',
    },
    { kind: 'out-of-memory', message: expect.stringContaining('V8') },
  ],
  ['an OOM kill', { ending: { signal: 'SIGKILL' }, wasKilledByKernel: true }, { kind: 'out-of-memory' }],
  ['an end before it began', { accepted: false, ending: { signal: 'SIGKILL' } }, { kind: 'could-not-start' }],
])('%s is told as what it is', (_what, changes, outcome) => {
  expect(judge({ ...seen, ...changes })).toMatchObject(outcome)
})

test('facts join what the worker saw with what the child said, and leave out what is not known, or is chance', () => {
  const usage = { maxRssBytes: 5, cpuUserMs: 1 }
  const full = judge({
    ...seen,
    result: succeeded,
    usage,
    ending: { exitCode: 0 },
    output: 'words',
    outputBytes: 9,
  })
  expect(full.facts).toEqual({
    startedAtMs: 1_000,
    durationMs: 250,
    maxRssBytes: 5,
    cpuUserMs: 7,
    output: 'words',
    outputBytes: 9,
  })
  expect(judge({ ...seen, result: failed }).facts).toEqual({ startedAtMs: 1_000, durationMs: 250 })
})
