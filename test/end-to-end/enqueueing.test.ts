// The pages about enqueueing, block by block: each program prints what the comments beside its lines say, and the compiler takes all of them.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { RedisServer } from '../redis-server.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const filesOf = (page: string) =>
  [...page.matchAll(/```ts\n(\/\/ (\S+\.ts)\n[\s\S]*?)```/g)].map(([, text = '', name = '']) => ({
    name,
    text,
  }))

describe.each([
  ['enqueueing', { a: '{ a: 1, b: 2 }', wrong: '{ a: 1 }' }],
  ['unique', { a: "connect } from 'millhand/client'", wrong: "connected } from 'millhand/client'" }],
])('the page %s', (name, { a, wrong: mistake }) => {
  const page = readFileSync(join(root, `docs/${name}.md`), 'utf8')
  const files = filesOf(page)
  const programs = files.filter(({ text }) => text.includes("'millhand/client'"))
  const folder = mkdtempSync(join(tmpdir(), 'millhand-enqueueing-'))
  let server: RedisServer
  let worker: WorkerProcess

  beforeAll(async () => {
    mkdirSync(join(folder, 'node_modules'))
    symlinkSync(join(root, 'worker-runtime'), join(folder, 'node_modules/millhand'))
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}')
    for (const { name, text } of files) writeFileSync(join(folder, name), text)
    server = await RedisServer.start()
    worker = await startWorker({
      redisUrl: server.url,
      namespace: 'default',
      queues: ['sums', 'accounts'],
      modules: [join(folder, 'tasks.ts')],
    })
  }, 60_000)
  afterAll(async () => {
    await worker?.stop()
    await server?.remove()
    rmSync(folder, { recursive: true })
  }, 30_000)

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

  test('has programs that compile, and that are checked', async () => {
    const wrong = programs.find(({ name }) => name === 'one.ts')?.text.replace(a, mistake) ?? ''
    writeFileSync(join(folder, 'wrong.ts'), wrong)
    const flags =
      '--noEmit --strict --module nodenext --target es2024 --skipLibCheck --allowImportingTsExtensions --customConditions millhand-source --erasableSyntaxOnly'
    const types = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node']
    const compile = (names: string[]) =>
      run(join(root, 'node_modules/.bin/tsc'), [...flags.split(' '), ...types, ...names], { cwd: folder })
    await compile(files.map(({ name }) => name))
    await expect(compile(['wrong.ts'])).rejects.toMatchObject({ stdout: expect.stringContaining('wrong.ts') })
  }, 60_000)
})
