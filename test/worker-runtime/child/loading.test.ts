// A task module that does not load: the sentence names the file and line of the user, the cause, and a way out; never a place inside Node
// or inside Millhand.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { jest } from '@jest/globals'
import { startTiny } from './tiny-children.ts'

jest.setTimeout(60_000)

const folder = mkdtempSync(join(tmpdir(), 'millhand-loading-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const FILES = {
  'syntax.mjs': 'const a = 1\nexport const b = {\n  foo bar\n}\n',
  'syntax.cjs': '\nfoo bar\n',
  'my tasks/syntax.mjs': '\nfoo bar\n',
  'my tasks/throws.mjs': "\nthrow new Error('x')\n",
  'throws-syntax-error.mjs': "throw Object.assign(new SyntaxError('mine'), { stack: '' })\n",
  'syntax.ts': 'const a: number = 1\nconst b = {\n  foo bar\n}\n',
  'imports-syntax.ts': "import './syntax.mjs'\n",
  'imports-syntax-late.mjs': "\nawait import('./syntax.mjs')\n",
  'requires-syntax.cjs': "\nrequire('./syntax.cjs')\n",
  'data.json': '{ "a": 1,\n b }\n',
  'imports-json.ts': "import data from './data.json' with { type: 'json' }\n",
  'requires-json.cjs': "\nrequire('./data.json')\n",
  'imports-package.ts': "import { readFileSync } from 'node:fs'\nimport x from '@scope/missing'\n",
  'requires-package.cjs': "\n\nrequire('missing')\n",
  'imports-file.ts': "\nimport x from './nowhere.ts'\n",
  'requires-file.cjs': "\nrequire('./nowhere.cjs')\n",
  'awaits-forever.mjs': '\n\nawait new Promise(() => {})\n',
  'imports-awaits-forever.ts': "import './awaits-forever.mjs'\n",
  'requires-await.cjs': "\nrequire('./awaits.mjs')\n",
  'awaits.mjs': 'await 1\n',
  'exits.mjs': "console.error('TOKEN is not set')\nprocess.exit(3)\n",
  'exits-late.mjs': 'setTimeout(() => {\n  process.exit(3)\n}, 1)\nawait new Promise(() => {})\n',
  'rejects.mjs':
    "\nvoid Promise.reject(new Error('nobody awaited me', { cause: 'why' }))\nawait new Promise((done) => setTimeout(done, 1_000))\n",
  'throws.mjs': "export {}\nthrow new RangeError('far too much')\n",
  'imports-throws.ts': "import './throws.mjs'\n",
  'node_modules/lib/package.json': '{ "name": "lib", "main": "index.cjs" }',
  'node_modules/lib/index.cjs': "module.exports = () => { throw new Error('bad option') }\n",
  'calls-lib.mjs': "import lib from 'lib'\nlib()\n",
  'throws-text.mjs': "throw 'just text'\n",
  'enum.ts': '\nenum Color { Red }\n',
  'parameter-property.ts': 'class A {\n  constructor(private x: number) {}\n}\n',
  'decorator.ts': 'const d = (x: unknown, _: unknown) => x\nclass A {\n  @d\n  m() {}\n}\n',
  'types.ts': 'export type Shape = string\n',
  'imports-type.ts': "\nimport { Shape } from './types.ts'\n",
  'no-extension.ts': "\nimport { Shape } from './types'\n",
  'wrong-extension.ts': "\nimport { Shape } from './types.js'\n",
  'alias.ts': "\nimport { x } from '@/lib/x'\n",
  'with-paths/tsconfig.json': '{ "compilerOptions": { "paths": { "lib2/*": ["./*"] } } }',
  'with-paths/tasks.ts': "\nimport { x } from 'lib2/x'\n",
  'view.tsx': 'export const a = <b />\n',
  'imports-view.ts': "\nimport { a } from './view.tsx'\n",
  'json-as-code.ts': "\nimport data from './data.json'\n",
  'imports-json-as-code.ts': "import './json-as-code.ts'\n",
  'no-builtin.mjs': "\n\nimport x from 'node:nothing'\n",
  'imports-folder.ts': "\nimport './sub'\n",
  'sub/index.ts': '',
  'node_modules/closed/package.json': '{ "name": "closed", "exports": { ".": "./a.js" } }',
  'imports-closed.ts': "\nimport x from 'closed/inside'\n",
}
for (const [name, text] of Object.entries(FILES)) {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), text)
}

const CASES: [keyof typeof FILES, string, RegExp | string][] = [
  ['syntax.mjs', "SyntaxError: Unexpected identifier 'bar'", 'syntax.mjs:3'],
  ['syntax.cjs', "SyntaxError: Unexpected identifier 'bar'", 'syntax.cjs:2'],
  ['syntax.ts', 'SyntaxError: Unexpected token', 'syntax.ts:3'],
  ['imports-syntax.ts', "SyntaxError: Unexpected identifier 'bar'", 'syntax.mjs:3'],
  ['imports-syntax-late.mjs', "SyntaxError: Unexpected identifier 'bar'", 'syntax.mjs:3'],
  ['requires-syntax.cjs', "SyntaxError: Unexpected identifier 'bar'", 'syntax.cjs:2'],
  ['my tasks/syntax.mjs', "SyntaxError: Unexpected identifier 'bar'", 'my tasks/syntax.mjs:2'],
  ['my tasks/throws.mjs', 'throws.mjs: x', 'my tasks/throws.mjs:2'],
  ['throws-syntax-error.mjs', 'SyntaxError: mine', /mine$/],
  ['imports-json.ts', 'Expected double-quoted property name in JSON', 'data.json:2'],
  ['requires-json.cjs', 'Expected double-quoted property name in JSON', 'data.json:2'],
  [
    'imports-package.ts',
    "Cannot find package '@scope/missing'",
    /imports-package\.ts:2\); npm install @scope\/missing$/,
  ],
  [
    'requires-package.cjs',
    "Cannot find module 'missing'",
    /requires-package\.cjs:3:1\); npm install missing$/,
  ],
  ['imports-file.ts', 'Cannot find module', 'imports-file.ts:2'],
  ['requires-file.cjs', "Cannot find module './nowhere.cjs'", 'requires-file.cjs:2'],
  ['awaits-forever.mjs', 'an await at the top level never ends', 'awaits-forever.mjs:3'],
  ['imports-awaits-forever.ts', 'an await at the top level never ends', 'awaits-forever.mjs:3'],
  [
    'requires-await.cjs',
    'require() cannot be used on an ESM graph with top-level await',
    'requires-await.cjs:2',
  ],
  ['exits.mjs', 'exited with code 3 before it had loaded the modules: TOKEN is not set', 'exits.mjs:2'],
  ['exits-late.mjs', 'exited with code 3 before it had loaded the modules', 'exits-late.mjs:2'],
  ['rejects.mjs', 'raised an error while they loaded: nobody awaited me; caused by: why', 'rejects.mjs:2'],
  ['throws.mjs', 'RangeError: far too much', 'throws.mjs:2'],
  ['imports-throws.ts', 'RangeError: far too much', 'throws.mjs:2'],
  ['calls-lib.mjs', 'bad option', 'calls-lib.mjs:2'],
  ['throws-text.mjs', 'throws-text.mjs: just text', /text$/],
  ['enum.ts', 'TypeScript enum is not supported', /enum\.ts:2\); .*--import tsx.*docs\/writing-tasks\.md$/],
  ['parameter-property.ts', 'parameter property is not supported', /property\.ts:2\); .*--import tsx/],
  [
    'decorator.ts',
    'SyntaxError: Invalid or unexpected token',
    /decorator\.ts:3\); Node has no decorators.*--import tsx/,
  ],
  [
    'imports-type.ts',
    "does not provide an export named 'Shape'",
    /imports-type\.ts:2\); .*import type \{ Shape \}/,
  ],
  [
    'no-extension.ts',
    'Cannot find module',
    /no-extension\.ts:2\); an import names the whole file: types\.ts/,
  ],
  [
    'wrong-extension.ts',
    'Cannot find module',
    /wrong-extension\.ts:2\); an import names the whole file: types\.ts/,
  ],
  [
    'alias.ts',
    "Cannot find package '@/lib'",
    /alias\.ts:2\); paths of tsconfig\.json .*"imports".*--import tsx/,
  ],
  ['with-paths/tasks.ts', "Cannot find package 'lib2'", /with-paths\/tasks\.ts:2\); paths of tsconfig\.json/],
  ['view.tsx', 'Unknown file extension ".tsx"', /view\.tsx; Node runs no JSX.*--import tsx/],
  ['imports-view.ts', 'Unknown file extension ".tsx"', /imports-view\.ts:2\); Node runs no JSX/],
  [
    'imports-json-as-code.ts',
    'needs an import attribute',
    /json-as-code\.ts:2\); .*with \{ type: 'json' \}$/,
  ],
  ['no-builtin.mjs', 'No such built-in module: node:nothing', 'no-builtin.mjs:3'],
  [
    'imports-folder.ts',
    'Directory import',
    /imports-folder\.ts:2\); an import names the whole file: sub\/index\.ts/,
  ],
  ['imports-closed.ts', "Package subpath './inside' is not defined", 'imports-closed.ts:2'],
]

const escaped = (text: string) => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')

describe.each(['Fork', 'Spawn', 'Reuse'] as const)('with %s', (mode) => {
  // What makes children of Reuse is what makes those of Fork.
  const cases = mode === 'Reuse' ? CASES.slice(0, 2) : CASES
  test.each(cases)('%s is told with its cause, file and line', async (name, cause, place) => {
    const refused: Error = await startTiny(mode, { modules: [join(folder, name)] }).then(
      async (tiny) => {
        await tiny.stop()
        return new Error('it has loaded')
      },
      (error) => error,
    )
    expect(refused.name).toBe('ConfigError')
    expect(refused.message).toContain(cause)
    const where =
      typeof place === 'string' ? new RegExp(`\\(${escaped(join(folder, place))}(?::\\d+)?\\)$`) : place
    expect(refused.message).toMatch(where)
    expect(refused.message).not.toMatch(/node:internal|\n|worker-runtime/)
  })
})
