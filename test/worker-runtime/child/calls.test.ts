import { Calls, MOST_OPEN_CALL_BYTES, MOST_OPEN_CALLS } from '../../../worker-runtime/src/child/calls.ts'
import type { ToChild } from '../../../worker-runtime/src/child/messages.ts'
import { silent } from '../../../worker-runtime/src/log.ts'
import { eventually } from '../../eventually.ts'
import { resultOf, startTiny, type Tiny } from './tiny-children.ts'

type Answer = Extract<ToChild, { kind: 'answer' }>

describe('the calls of an attempt', () => {
  const collected = (answer: (verb: string) => Promise<string>) => {
    const sent: Answer[] = []
    const calls = new Calls({ send: (message) => void sent.push(message as Answer) }, ({ verb }) =>
      answer(verb),
    )
    const ask = (call: number, body = 'null') => calls.take({ kind: 'call', id: 1, call, verb: 'v', body })
    return { sent, calls, ask }
  }
  const never = () => new Promise<string>(() => {})

  test('are answered with a value, or with an error as data', async () => {
    const { sent, ask } = collected(async () => '{"a":1}')
    await ask(1)
    expect(sent).toEqual([{ kind: 'answer', id: 1, call: 1, value: '{"a":1}' }])
    const failing = collected(async () => {
      throw Object.assign(new TypeError('no'), { code: 'E_NO' })
    })
    await failing.ask(7)
    expect(failing.sent).toMatchObject([
      { call: 7, error: { name: 'TypeError', message: 'no', code: 'E_NO' } },
    ])
  })

  test('are bounded in number and in bytes', async () => {
    const many = collected(never)
    for (let call = 1; call <= MOST_OPEN_CALLS + 1; call += 1) void many.ask(call)
    expect(many.sent).toMatchObject([{ call: MOST_OPEN_CALLS + 1, error: { code: 'TOO_MANY_CALLS' } }])
    const large = collected(never)
    for (let call = 1; call <= 5; call += 1) void large.ask(call, 'x'.repeat(MOST_OPEN_CALL_BYTES / 4))
    expect(large.sent).toMatchObject([{ call: 5, error: { code: 'TOO_MANY_CALLS' } }])
  })

  test('have a number each', async () => {
    const { sent, ask } = collected(never)
    void ask(1)
    await ask(1)
    expect(sent).toMatchObject([{ call: 1, error: { code: 'CALL_OPEN' } }])
  })

  test('are answered once when the attempt ends, whatever comes later', async () => {
    const { promise, resolve } = Promise.withResolvers<string>()
    const { sent, calls, ask } = collected(() => promise)
    const asking = ask(1)
    calls.end()
    resolve('1')
    await asking
    expect(sent).toMatchObject([{ call: 1, error: { code: 'ATTEMPT_ENDED' } }])
  })
})

describe.each(['Fork', 'Reuse'] as const)('job.progress with %s', (mode) => {
  const late: unknown[] = []
  const log = { ...silent, info: (_: string, { line }: { line?: unknown } = {}) => void late.push(line) }
  let tiny: Tiny
  beforeAll(async () => {
    tiny = await startTiny(mode, { log })
  })
  afterAll(() => tiny.stop())

  test('asks nothing when it is not awaited', async () => {
    const asked: string[] = []
    const onCall = async ({ verb }: { verb: string }) => {
      asked.push(verb)
      return 'null'
    }
    expect(resultOf(await tiny.perform('progresses', { steps: 100 }, { onCall }))).toBe('done')
    expect(asked).toEqual([])
  })

  test('resolves when it is answered, for each that awaits it', async () => {
    const seen: unknown[] = []
    let asked = 0
    const outcome = await tiny.perform(
      'awaits-progress',
      { values: 3 },
      {
        onProgress: (json) => seen.push(JSON.parse(json)),
        onCall: async () => {
          asked += 1
          return 'null'
        },
      },
    )
    // All three at once, and then one more: the first is sent at once, of those that come too soon after it the last.
    expect(resultOf(outcome)).toBe('all were told')
    expect(seen).toEqual([1, 3, 'last'])
    expect(asked).toBeGreaterThanOrEqual(2)
  })

  test('rejects with the error of the worker', async () => {
    const onCall = async () => {
      throw Object.assign(new Error('not yours'), { code: 'NOT_HELD' })
    }
    expect(await tiny.perform('awaits-progress', { values: 1 }, { onCall })).toMatchObject({
      kind: 'failed',
      error: { message: 'not yours', code: 'NOT_HELD' },
    })
  })

  test('is answered with an error when its attempt has ended', async () => {
    const onCall = () => new Promise<string>(() => {})
    await tiny.perform('awaits-progress-too-late', null, { onCall })
    // A child of its own does not wait for that.
    if (mode === 'Reuse') await eventually(() => late.includes('ATTEMPT_ENDED'))
    expect((await tiny.perform('noop')).kind).toBe('succeeded')
  })
})
