// docs/writing-tasks.md, block by block: files that load and run as the page says, and files that do not load.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Outcome } from '../../worker-runtime/src/child/outcome.ts'
import { errorText } from '../../worker-runtime/src/errors.ts'
import { startTiny, type Tiny } from '../worker-runtime/child/tiny-children.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/writing-tasks.md'), 'utf8')
const blocks = [...page.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language = '', text = '']) => ({
  language,
  text,
}))
const files = blocks.flatMap(({ language, text }) => {
  const name = /^\/\/ (\S+\.ts)\n/.exec(text)?.[1]
  return language === 'ts' && name ? [{ name, text }] : []
})
const refused = blocks.flatMap(({ language, text }) => {
  const why = /^\/\/ does not load: (.*)\n/.exec(text)?.[1]
  return language === 'ts' && why ? [{ why, text }] : []
})
const fileWith = (text: string) => files.find((file) => file.text.includes(text))?.name ?? 'no such block'

describe('the page about writing tasks', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-writing-'))
  let tiny: Tiny
  const failure = (outcome: Outcome) =>
    outcome.kind === 'failed'
      ? errorText(outcome.error)
      : 'message' in outcome
        ? outcome.message
        : outcome.kind

  beforeAll(async () => {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(join(root, 'worker-runtime'), join(folder, 'node_modules/millhand'))
    for (const { name, text } of files) writeFileSync(join(folder, name), text)
    const modules = files.filter(({ text }) => text.includes(" task('")).map(({ name }) => join(folder, name))
    tiny = await startTiny('Fork', { modules })
  }, 60_000)
  afterAll(async () => {
    await tiny.stop()
    rmSync(folder, { recursive: true })
  })

  test('has only blocks that this test runs', () => {
    const texts = blocks.filter(({ language }) => language === 'text')
    expect(files.length + refused.length + texts.length).toBe(blocks.length)
    expect(refused.length).toBeGreaterThan(3)
  })

  test('has files that load and tasks that run', async () => {
    expect(await tiny.perform('resize', { file: 'a', width: 1 })).toMatchObject({ kind: 'succeeded' })
    expect(await tiny.perform('halve', { width: 4 })).toMatchObject({ result: '{"width":2,"unit":"px"}' })
    const enqueued: unknown[] = []
    const onCall = async ({ verb, body }: { verb: string; body: string }) => {
      enqueued.push([verb, JSON.parse(body)])
      return '"id"'
    }
    const ship = await tiny.perform('ship', { order: 1 }, { onCall })
    expect(ship).toMatchObject({ kind: 'succeeded', result: '"shipped"' })
    expect(enqueued).toEqual([
      ['enqueue', { queue: 'mail', task: 'shipped', input: { order: 1 } }],
      ['enqueue', { queue: 'audit', task: 'note', input: { order: 1, attempt: 1 }, options: { now: true } }],
    ])
    const around = await tiny.perform('measured', null, { headers: { tenant: 'acme' } })
    expect(around).toMatchObject({ kind: 'succeeded', result: '"its result"' })
    expect(around.facts.output).toBe('slow for acme\n')
    const { facts } = await tiny.perform('report')
    expect(facts.output).toBe("by the console\nby the job { and: 'values' }\n")
  }, 60_000)

  test('tells what becomes of results', async () => {
    const text = files.find(({ name }) => name === fileWith("task('bigint'"))?.text ?? ''
    const rows = [...text.matchAll(/task\('(\w+)'.*\/\/ (→|refused:) (.*)$/gm)]
    expect(rows.length).toBe([...text.matchAll(/task\('/g)].length)
    for (const [, task = '', what, expected = ''] of rows) {
      const outcome = await tiny.perform(task)
      if (what === '→') expect({ task, outcome }).toMatchObject({ task, outcome: { result: expected } })
      else {
        expect(outcome).toMatchObject({ terminal: true })
        expect(failure(outcome)).toContain(expected)
      }
    }
  }, 60_000)

  test('tells how errors are told', async () => {
    const text = blocks.find(({ language }) => language === 'text')?.text.trim()
    expect(failure(await tiny.perform('charge'))).toBe(text)
    expect(await tiny.perform('refund')).toMatchObject({ terminal: true })
  }, 60_000)

  test.each(refused)(
    'has a file that does not load: $why',
    async ({ why, text }) => {
      const file = join(folder, 'refused.ts')
      writeFileSync(file, text)
      await expect(startTiny('Spawn', { modules: [file] })).rejects.toMatchObject({
        message: expect.stringContaining(why),
      })
    },
    60_000,
  )
})
