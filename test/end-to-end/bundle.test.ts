// The program of docs/getting-started.md that enqueues, bundled into one file as services are that run without node_modules.
import { execFile } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { RedisServer } from '../redis-server.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'

const sh = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const runtime = join(root, 'worker-runtime')
const GREET = `import { task } from '${join(runtime, 'src/index.ts')}'
export const greet = task('greet', ({ name }) => 'Hello, ' + name)
`
const program =
  /```ts\n(\/\/ enqueue\.ts[\s\S]*?)```/.exec(
    readFileSync(join(root, 'docs/getting-started.md'), 'utf8'),
  )?.[1] ?? ''
/** A module of CommonJS has no await outside of functions. */
const asFunction = program.replace(/\n\n([\s\S]*)$/, '\n\nasync function main() {\n$1}\nmain()\n')

describe('the program of the first page, bundled', () => {
  let folder: string
  let elsewhere: string
  let server: RedisServer
  let worker: WorkerProcess
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'millhand-bundle-'))
    elsewhere = mkdtempSync(join(tmpdir(), 'millhand-bundled-'))
    const installed = join(folder, 'node_modules/millhand')
    const dist = join(installed, 'dist')
    mkdirSync(installed, { recursive: true })
    cpSync(join(runtime, 'package.json'), join(installed, 'package.json'))
    cpSync(join(root, 'node_modules/croner'), join(folder, 'node_modules/croner'), { recursive: true })
    // What `npm pack` does, into a folder of its own.
    await sh(
      process.execPath,
      [join(root, 'node_modules/typescript/bin/tsc'), '-p', 'tsconfig.build.json', '--outDir', dist],
      { cwd: runtime },
    )
    await sh(process.execPath, ['lua-build.ts', dist], { cwd: runtime })
    writeFileSync(join(folder, 'tasks.ts'), GREET)
    server = await RedisServer.start()
    worker = await startWorker({
      redisUrl: server.url,
      namespace: 'default',
      queues: ['greetings'],
      modules: [join(folder, 'tasks.ts')],
      isolation: 'Spawn',
    })
  }, 120_000)
  afterAll(async () => {
    await worker?.stop()
    await server?.remove()
    for (const each of [folder, elsewhere]) rmSync(each, { recursive: true, force: true })
  }, 30_000)

  test.each([
    ['esm', program],
    ['cjs', asFunction],
  ])(
    'as %s needs no file beside it',
    async (format, text) => {
      expect(text).toContain('await job.result(')
      writeFileSync(join(folder, 'enqueue.ts'), text)
      const bundle = join(elsewhere, format === 'esm' ? 'enqueue.mjs' : 'enqueue.cjs')
      const esbuild = join(root, 'node_modules/esbuild/bin/esbuild')
      const flags = ['--bundle', '--platform=node', `--format=${format}`, `--outfile=${bundle}`]
      const { stderr } = await sh(esbuild, ['enqueue.ts', ...flags], { cwd: folder })
      expect(stderr).not.toContain('[WARNING]')
      const env = { PATH: process.env.PATH, MILLHAND_REDIS_URL: server.url }
      const { stdout } = await sh(process.execPath, [bundle], { cwd: elsewhere, env })
      expect(stdout).toBe('Hello, Grace\n')
    },
    60_000,
  )
})
