// Every npm script runs to its end, in its shortest form.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { theOutside } from '../../operator/src/local/outside.ts'
import { findRedisServer } from '../../operator/src/local/redis-server.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const short: Record<string, [script: string, says: RegExp]> = {
  soak: ['soak -- --minutes 0.05', /jobs were enqueued[\s\S]*Nothing was found/],
  model: ['model -- --quick --only burst', /burst/],
  bench: ['bench -- --quick --only B1 --peers millhand-fork --rounds 1', /millhand-fork/],
}
/** Of the others, tests of their own say that they run: demo (examples), cluster (test/cluster), pack (end-to-end); the rest is what runs tests. */
const elsewhere = ['demo', 'cluster', 'pack', 'test', 'check', 'fmt']

const folder = mkdtempSync(join(tmpdir(), 'millhand-scripts-'))
afterAll(() => rmSync(folder, { recursive: true }))

test('no script is forgotten here', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  expect([...Object.keys(short), ...elsewhere].sort()).toEqual(Object.keys(scripts).sort())
})

test.each(Object.entries(short))(
  'npm run %s',
  async (_, [script, says]) => {
    // The bench asks for a redis-server on the PATH.
    const { path } = await findRedisServer(theOutside(), () => {})
    const server = join(folder, 'redis-server')
    rmSync(server, { force: true })
    symlinkSync(path, server)
    const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` }
    const said = execFileSync('sh', ['-ec', `npm run ${script}`], {
      cwd: root,
      env,
      encoding: 'utf8',
      stdio: 'pipe',
    })
    expect(said).toMatch(says)
  },
  180_000,
)
