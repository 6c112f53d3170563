// docs/enqueueing.md, block by block: each program prints what the comments beside its lines say, and the compiler takes all of them.
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
const page = readFileSync(join(root, 'docs/enqueueing.md'), 'utf8')
const files = [...page.matchAll(/```ts\n(\/\/ (\S+\.ts)\n[\s\S]*?)```/g)].map(([, text = '', name = '']) => ({
  name,
  text,
}))
const programs = files.filter(({ text }) => text.includes("'millhand/client'"))

describe('the page about enqueueing', () => {
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
      queues: ['sums'],
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

  test('has programs that compile, and whose inputs are checked', async () => {
    const wrong =
      programs.find(({ name }) => name === 'one.ts')?.text.replace('{ a: 1, b: 2 }', '{ a: 1 }') ?? ''
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
