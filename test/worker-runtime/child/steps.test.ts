// job.step, job.checkpoint and job.lastCheckpoint in real children; what the worker would answer is answered here.
import { MAX_SAVED_BYTES } from '../../../worker-runtime/src/child/messages.ts'
import { eventually } from '../../eventually.ts'
import { resultOf, startTiny, type Tiny } from './tiny-children.ts'

describe.each(['Fork', 'Spawn', 'Reuse'] as const)('with %s', (mode) => {
  let tiny: Tiny
  beforeAll(async () => {
    tiny = await startTiny(mode)
  }, 60_000)
  afterAll(() => tiny.stop())

  const answering = (saved: object) => {
    const asked: [string, unknown][] = []
    const onCall = async ({ verb, body }: { verb: string; body: string }) => {
      asked.push([verb, JSON.parse(body)])
      return verb === 'saved' ? JSON.stringify(saved) : 'null'
    }
    return { asked, onCall }
  }
  const epoch = '1970-01-01T00:00:00.000Z'

  test('a step that is saved is not done again, and values come through JSON', async () => {
    const { asked, onCall } = answering({ steps: { a: 'of the first attempt' } })
    const outcome = await tiny.perform(
      'takes-steps',
      { names: ['a', 'b', 'constructor'] },
      { attempt: 2, onCall },
    )
    const made = (name: string) => ({ name, of: 2, on: epoch })
    expect(resultOf(outcome)).toEqual(['of the first attempt', made('b'), made('constructor')])
    expect(asked).toEqual([
      ['saved', null],
      ['step', ['b', made('b')]],
      ['step', ['constructor', made('constructor')]],
    ])
  })

  test('a job without steps asks nothing', async () => {
    const { asked, onCall } = answering({ steps: {} })
    await tiny.perform('noop', null, { onCall })
    expect(asked).toEqual([])
  })

  test('a step that fails saves nothing, and may be tried again', async () => {
    const { asked, onCall } = answering({ steps: {} })
    expect(resultOf(await tiny.perform('retries-step', null, { onCall }))).toBe('now')
    expect(asked.map(([verb]) => verb)).toEqual(['saved', 'step'])
  })

  test('a name stands once in an attempt', async () => {
    const { onCall } = answering({ steps: {} })
    expect(await tiny.perform('shares-step-name', null, { onCall })).toMatchObject({
      kind: 'failed',
      error: { name: 'TypeError', message: expect.stringContaining('step "a" stands twice') },
    })
  })

  test.each([['ä'], [''], ['a b'], ['x'.repeat(101)]])('%j is no name of a step', async (name) => {
    expect(await tiny.perform('takes-steps', { names: [name] })).toMatchObject({
      kind: 'failed',
      error: { message: expect.stringContaining('invalid step name') },
    })
  })

  test('a value that is too large fails the task and not the child', async () => {
    const { asked, onCall } = answering({ steps: {} })
    for (const bytes of [MAX_SAVED_BYTES, 4 * 2 ** 20])
      expect(await tiny.perform('saves-too-much', { bytes }, { onCall })).toMatchObject({
        kind: 'failed',
        error: { code: 'SAVED_TOO_LARGE', message: expect.stringContaining(`has ${bytes + 2} bytes`) },
      })
    expect(asked.every(([verb]) => verb === 'saved')).toBe(true)
  })

  test('the last checkpoint is that of an earlier attempt until there is a newer one', async () => {
    const { asked, onCall } = answering({ steps: {}, checkpoint: { page: 3 } })
    const outcome = await tiny.perform('checkpoints', { value: { page: 4 } }, { onCall })
    expect(resultOf(outcome)).toEqual([{ page: 3 }, { page: 4 }])
    expect(asked).toEqual([
      ['saved', null],
      ['checkpoint', { page: 4 }],
    ])
  })

  test('the error of the worker comes to the task', async () => {
    const onCall = async () => {
      throw Object.assign(new Error('not yours'), { code: 'NOT_HELD' })
    }
    expect(await tiny.perform('checkpoints', { value: 1 }, { onCall })).toMatchObject({
      kind: 'failed',
      error: { message: 'not yours', code: 'NOT_HELD' },
    })
  })

  test('a checkpoint that nobody awaits harms neither its job nor its child', async () => {
    const waiting: (() => void)[] = []
    const onCall = () => new Promise<string>((resolve) => waiting.push(() => resolve('null')))
    expect((await tiny.perform('does-not-await-checkpoint', null, { onCall })).kind).toBe('succeeded')
    await eventually(() => waiting.length === 1)
    expect((await tiny.perform('noop')).kind).toBe('succeeded')
  })
})
