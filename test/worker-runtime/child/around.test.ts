// use(): what runs around every attempt, in real children.
import { fileURLToPath } from 'node:url'
import { startTiny, type Tiny } from './tiny-children.ts'

describe.each(['Fork', 'Spawn', 'Reuse'] as const)('use() with %s', (mode) => {
  let tiny: Tiny
  beforeAll(async () => {
    const modules = [fileURLToPath(new URL('../../tasks/around.ts', import.meta.url))]
    tiny = await startTiny(mode, { modules })
  }, 60_000)
  afterAll(() => tiny.stop())
  const perform = (task: string, around?: string) =>
    tiny.perform(task, null, { headers: { tenant: 'acme', ...(around && { around }) } })
  const failure = (message: string, terminal = false) => ({ kind: 'failed', terminal, error: { message } })

  test('runs around the task, the first one outermost, and the result is that of the task', async () => {
    const outcome = await perform('works')
    expect(outcome).toMatchObject({ kind: 'succeeded', result: '"its result"' })
    expect(outcome.facts.output).toBe('begins works acme, works, ended\n')
  })

  test('hears that the task failed', async () => {
    const outcome = await perform('fails')
    expect(outcome).toMatchObject(failure('no'))
    expect(outcome.facts.output).toBe('begins fails acme, failed: no\n')
  })

  test('cannot make a success of a failure, but another failure', async () => {
    expect(await perform('fails', 'swallows')).toMatchObject(failure('no'))
    expect(await perform('fails', 'buries')).toMatchObject(failure('no use to try again', true))
  })

  test('waits for the task, whether the function does or not', async () => {
    expect(await perform('fails', 'does not wait')).toMatchObject(failure('no'))
    expect(await perform('works', 'does not wait')).toMatchObject({ result: '"its result"' })
  })

  test('must call next once', async () => {
    expect(await perform('works', 'does not call')).toMatchObject(
      failure('a function of use() did not call next(), so the task did not run'),
    )
    expect(await perform('works', 'calls twice')).toMatchObject(
      failure('a function of use() called next() twice'),
    )
  })
})
