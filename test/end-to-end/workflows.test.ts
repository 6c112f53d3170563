// The pages about workflows, block by block: each program prints what its comments say, with `millhand up` and the
// manifest of the page, and the compiler takes all of them.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Running, startMillhand, stopAtOnce } from '../cli/millhand.ts'
import { RedisServer } from '../redis-server.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const flags =
  '--noEmit --strict --module nodenext --target es2024 --skipLibCheck --allowImportingTsExtensions --customConditions millhand-source --erasableSyntaxOnly'
const types = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node']
const compile = (cwd: string, names: string[]) =>
  run(join(root, 'node_modules/.bin/tsc'), [...flags.split(' '), ...types, ...names], { cwd })

describe.each(['workflows.md', 'workflows-from-celery-and-bullmq.md'])('the page %s', (path) => {
  const page = readFileSync(join(root, 'docs', path), 'utf8')
  const files = [...page.matchAll(/```ts\n(\/\/ (\S+\.ts)\n[\s\S]*?)```/g)].map(
    ([, text = '', name = '']) => ({
      name,
      text,
    }),
  )
  const programs = files.filter(({ text }) => text.includes("'millhand/client'"))
  const folder = mkdtempSync(join(tmpdir(), 'millhand-workflows-'))
  let server: RedisServer
  let up: Running

  beforeAll(async () => {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(join(root, 'worker-runtime'), join(folder, 'node_modules/millhand'))
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    for (const { name, text } of files) writeFileSync(join(folder, name), text)
    server = await RedisServer.start()
    const [, manifests = ''] = /```yaml\n([\s\S]*?)```/.exec(page) ?? []
    writeFileSync(join(folder, 'manifests.yaml'), manifests)
    up = startMillhand(['up', '--redis', server.url, '--no-dashboard'], { cwd: folder })
    await up.says(/^ready: /m)
  }, 90_000)
  afterAll(async () => {
    await stopAtOnce(up)
    await server?.remove()
    rmSync(folder, { recursive: true })
  }, 60_000)

  test('has only blocks that are run', () => {
    expect(files.length).toBe(page.match(/```ts\n/g)?.length)
    expect(programs.length).toBe(files.length - 1)
  })

  test.each(programs)(
    'has a program $name that prints what it says',
    async ({ name, text }) => {
      const expected = [...text.matchAll(/\/\/ → (.*)$/gm)].map(([, line]) => line)
      const env = { PATH: process.env.PATH, MILLHAND_REDIS_URL: server.url }
      const args = ['--conditions=millhand-source', name]
      const { stdout } = await run(process.execPath, args, { cwd: folder, env })
      expect(stdout.split('\n').filter(Boolean)).toEqual(expected)
    },
    60_000,
  )

  test(
    'has programs that compile',
    () =>
      compile(
        folder,
        files.map(({ name }) => name),
      ),
    120_000,
  )

  if (path !== 'workflows.md') return
  test('has programs whose inputs and results are checked', async () => {
    const order = programs.find(({ name }) => name === 'order.ts')?.text ?? ''
    const wrong = [
      ['wrong-input.ts', order.replace("'pay', { order: 42 }", "'pay', { order: 'x' }")],
      ['wrong-result.ts', order.replace('parcel: packed.result', 'parcel: paid.result')],
    ] as const
    for (const [name, text] of wrong) writeFileSync(join(folder, name), text)
    for (const [name] of wrong)
      await expect(compile(folder, [name])).rejects.toMatchObject({
        stdout: expect.stringMatching(/not assignable/),
      })
  }, 120_000)
})
