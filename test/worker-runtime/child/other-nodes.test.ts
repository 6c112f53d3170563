// Fork depends on what Node and V8 do inside, so it is tried on every major version that it says it works with: the hazards
// (fork.test.ts) and a chaos run of some hundred jobs. The versions come from npm, once, into a cache folder.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { theOutside } from '../../../cli/src/local/outside.ts'
import { redisUrl } from '../../redis.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../..', import.meta.url))
const OTHERS = ['22.23.3', '26.10.0']

describe('on another Node', () => {
  test.each(OTHERS)(
    '%s forks pass every hazard, and a short chaos run loses nothing',
    async (version) => {
      const node = await nodeOf(version)
      expect((await run(node, ['--version'])).stdout.trim()).toBe(`v${version}`)
      const jest = [
        '--conditions=millhand-source',
        '--experimental-vm-modules',
        '--disable-warning=ExperimentalWarning',
        'node_modules/jest/bin/jest.js',
      ]
      const env = { ...process.env, MILLHAND_TEST_REDIS: redisUrl(), MILLHAND_CHAOS_JOBS: '300' }
      for (const tests of [
        ['test/worker-runtime/child/fork.test.ts'],
        ['test/faults/chaos.test.ts', '-t', 'one server'],
      ]) {
        const { stderr } = await run(node, [...jest, ...tests], {
          cwd: root,
          env,
          maxBuffer: 64 * 1024 * 1024,
          timeout: 600_000,
        }).catch((error: { stdout: string; stderr: string }) => {
          throw new Error(`on Node ${version}:\n${error.stderr}\n${error.stdout}`)
        })
        expect(stderr).toMatch(/Tests: +(\d+ skipped, )?\d+ passed, \d+ total/)
      }
    },
    1_500_000,
  )
})

async function nodeOf(version: string): Promise<string> {
  const folder = join(theOutside().cacheFolder, `node-${version}`)
  const node = join(folder, 'node_modules/node/bin/node')
  if (!existsSync(node)) {
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      join(folder, 'package.json'),
      JSON.stringify({ private: true, allowScripts: { node: true } }),
    )
    await run('npm', ['install', '--silent', `node@${version}`], { cwd: folder, timeout: 300_000 })
  }
  return node
}
