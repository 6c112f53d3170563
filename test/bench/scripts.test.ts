// Every npm script runs to its end, in its shortest form.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { theOutside } from '../../cli/src/local/outside.ts'
import { findRedisServer } from '../../cli/src/local/redis-server.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const short: Record<string, [script: string, says: RegExp]> = {
  soak: ['soak -- --minutes 0.05', /jobs were enqueued[\s\S]*Nothing was found/],
  model: ['model -- --quick --only burst', /burst/],
  bench: ['bench -- --quick --only B1 --peers millhand-fork --rounds 1', /millhand-fork/],
}
/** Of the others, tests of their own say that they run: demo (examples), cluster (test/cluster), pack (end-to-end); the rest is what runs tests. */
const elsewhere = ['demo', 'cluster', 'pack', 'test', 'check', 'fmt', 'reference']

const folder = mkdtempSync(join(tmpdir(), 'millhand-scripts-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('no script is forgotten here', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect([...Object.keys(short), ...elsewhere].sort()).toEqual(Object.keys(scripts).sort())
})

test.each(Object.entries(short))(
  'npm run %s',
  async (_, [script, says]) => expect(await run(`npm run ${script}`)).toMatch(says),
  180_000,
)

test('the hops of a job are told in their order, in Reuse and in Fork', async () => {
  const said = await run(`'${process.execPath}' --conditions=millhand-source bench/hops.ts --jobs 5`)
  for (const mode of ['Reuse', 'Fork'])
    expect(said).toMatch(
      new RegExp(
        `${mode}, 5 jobs[^]*client sends the job\n[^]*worker sends it to a child\n[^]*task runs its first line\n[^]*client has the result\n`,
      ),
    )
}, 60_000)

async function run(command: string): Promise<string> {
  // The bench asks for a redis-server on the PATH.
  const { path } = await findRedisServer(theOutside(), () => {})
  const server = join(folder, 'redis-server')
  rmSync(server, { force: true })
  symlinkSync(path, server)
  const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` }
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], { cwd: root, env, encoding: 'utf8' })
  // What a script has found stands in its output.
  expect([status, status === 0 ? '' : stdout + stderr]).toEqual([0, ''])
  return stdout
}
