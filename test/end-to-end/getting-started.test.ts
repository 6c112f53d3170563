// docs/getting-started.md, done word by word as a new user would: packages are built and installed in an empty folder, files written
// there, commands run.
import { execFileSync, spawn } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from '../eventually.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/getting-started.md'), 'utf8')
const blocks = [...page.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language = '', text = '']) => ({
  language,
  text,
}))
const block = (language: string, containing: string) => {
  const found = blocks.find((each) => each.language === language && each.text.includes(containing))
  if (!found) throw new Error(`the page has no ${language} block with ${containing}`)
  return found.text
}

describe('getting started', () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-starting-'))
  const app = join(folder, 'app')
  const sh = (
    command: string,
    { cwd = app, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
  ) =>
    execFileSync('sh', ['-ec', command], {
      cwd,
      env: { ...process.env, ...env },
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('shows files and commands that work in an empty folder, from installing to a result', async () => {
    mkdirSync(app)
    // "In an empty folder beside the clone."
    symlinkSync(root, join(folder, 'millhand'))
    sh('npm run pack', { cwd: root })
    sh(block('sh', 'npm init -y'))
    // A laptop has no use for a client of Kubernetes, which is 70 MB with all that it needs.
    const { packages } = JSON.parse(readFileSync(join(app, 'package-lock.json'), 'utf8'))
    const installed = Object.keys(packages)
    expect(installed).toContain('node_modules/@millhand/cli')
    expect(installed.filter((name) => /kubernetes|millhand\/operator/.test(name))).toEqual([])
    writeFileSync(join(app, 'greetings.yaml'), block('yaml', 'kind: WorkerPool'))
    writeFileSync(join(app, 'tasks.ts'), block('ts', 'export const greet'))
    writeFileSync(join(app, 'enqueue.ts'), block('ts', 'client.close()'))
    const up = spawn('sh', ['-c', block('sh', 'npx millhand up')], {
      cwd: app,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = ''
    for (const stream of [up.stdout, up.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk))
    const ended = new Promise<unknown>((resolve) => up.on('exit', resolve))
    try {
      await eventually(() => output.includes('ready:'), {
        what: `up is ready; it says: ${output}`,
        withinMs: 60_000,
      })
      expect(sh(block('sh', 'npx millhand enqueue'))).toMatch(/"Hello, Ada!"[\s\S]*greetings/)
      const redisUrl = /redis:\/\/\S+?(?=[,\s])/.exec(output)?.[0] ?? ''
      expect(sh('npx node enqueue.ts', { env: { MILLHAND_REDIS_URL: redisUrl } })).toBe('Hello, Grace!\n')
      // The types that users see are whole: a wrong input does not compile.
      writeFileSync(
        join(app, 'wrong.ts'),
        readFileSync(join(app, 'enqueue.ts'), 'utf8').replace("{ name: 'Grace' }", '{ nam: 1 }'),
      )
      const tsc = join(root, 'node_modules/.bin/tsc')
      const types =
        '--noEmit --strict --module nodenext --target es2024 --skipLibCheck --allowImportingTsExtensions'
      expect(() =>
        sh(`${tsc} ${types} --typeRoots ${root}node_modules/@types --types node enqueue.ts`),
      ).not.toThrow()
      expect(() =>
        sh(`${tsc} ${types} --typeRoots ${root}node_modules/@types --types node wrong.ts`),
      ).toThrow()
    } finally {
      process.kill(-(up.pid ?? 0), 'SIGINT') // as a terminal does: to npx and all below it
    }
    await ended
    await eventually(() => !readdirSync(join(app, '.millhand')).includes('up.json'), {
      what: 'up has cleaned up',
    })
  }, 180_000)
})
