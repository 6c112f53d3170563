// The blocks of docs/what-a-fork-shares.md are run: each says in its first line how.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { readConfig } from '../../worker-runtime/src/config.ts'
import { resultOf, startTiny } from '../worker-runtime/child/tiny-children.ts'

jest.setTimeout(120_000) // real processes, on a machine that may be busy

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const page = readFileSync(at('docs/what-a-fork-shares.md'), 'utf8')
const blocks = (language: string) =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map(([, text = '']) => text)
const modules = blocks('ts').map((text) => [/^\/\/ runs as (Fork|Spawn)$/m.exec(text)?.[1], text] as const)
const folder = mkdtempSync(join(tmpdir(), 'millhand-test-'))
mkdirSync(join(folder, 'node_modules'))
symlinkSync(at('worker-runtime'), join(folder, 'node_modules/millhand'))
afterAll(() => rmSync(folder, { recursive: true }))

test.each(modules)('a module runs as %s, and its jobs have names of their own (%#)', async (mode, text) => {
  const module = join(folder, `${modules.findIndex((each) => each[1] === text)}.ts`)
  writeFileSync(module, text)
  const tiny = await startTiny('Fork', { modules: [module] })
  const names = await Promise.all(Array.from({ length: 8 }, async () => resultOf(await tiny.perform('name'))))
  await tiny.stop()
  expect({ mode: tiny.mode, note: tiny.note }).toEqual({
    mode,
    note: mode === 'Fork' ? '' : expect.stringContaining(`${module} (randomUUID, at ${module}:5)`),
  })
  expect(new Set(names).size).toBe(names.length)
})

test('the variable names what may be shared', () => {
  const [, name = '', value = ''] = /^export (\w+)=(\S+)$/m.exec(blocks('sh').join('')) ?? []
  const env = { [name]: value, MILLHAND_REDIS_URL: 'redis://127.0.0.1', MILLHAND_QUEUES: '[{"name":"mail"}]' }
  expect(readConfig([at('test/tasks/tiny.ts')], env).isolation.forkShares).toEqual([
    'some-package',
    '/app/tasks.js',
  ])
})
