// The programs of a page of docs: each block of TypeScript that begins with the name of its file is written into a
// folder from which it runs.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const FLAGS =
  '--noEmit --strict --module nodenext --target es2024 --skipLibCheck --allowImportingTsExtensions --customConditions millhand-source --erasableSyntaxOnly'
const TYPES = ['--typeRoots', join(root, 'node_modules/@types'), '--types', 'node']

export class PagePrograms {
  readonly text: string
  readonly folder: string
  readonly files: readonly { name: string; text: string }[]
  /** Those that a reader starts. */
  readonly programs: readonly { name: string; text: string }[]

  constructor(page: string) {
    this.text = readFileSync(join(root, 'docs', page), 'utf8')
    this.folder = mkdtempSync(join(tmpdir(), 'millhand-page-'))
    const blocks = this.text.matchAll(/```ts\n(\/\/ (\S+\.ts)\n[\s\S]*?)```/g)
    this.files = [...blocks].map(([, text = '', name = '']) => ({ name, text }))
    this.programs = this.files.filter(({ text }) => text.includes("'millhand/client'"))
  }

  writeFiles(): void {
    mkdirSync(join(this.folder, 'node_modules'))
    symlinkSync(join(root, 'worker-runtime'), join(this.folder, 'node_modules/millhand'))
    this.write('package.json', '{"type":"module"}')
    for (const { name, text } of this.files) this.write(name, text)
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.folder, name), text)
  }

  /** All of its files, where none is named. */
  compile(...names: string[]): Promise<unknown> {
    const compiled = names.length > 0 ? names : this.files.map(({ name }) => name)
    return run(join(root, 'node_modules/.bin/tsc'), [...FLAGS.split(' '), ...TYPES, ...compiled], {
      cwd: this.folder,
    })
  }

  /** What a program prints, line by line. */
  async linesOf(name: string, redisUrl: string): Promise<string[]> {
    const env = { PATH: process.env.PATH, MILLHAND_REDIS_URL: redisUrl }
    const { stdout } = await run(process.execPath, ['--conditions=millhand-source', name], {
      cwd: this.folder,
      env,
    })
    return stdout.split('\n').filter(Boolean)
  }

  remove(): void {
    rmSync(this.folder, { recursive: true })
  }
}

/** That each program prints what the comments beside its lines say. One of the files has the tasks. */
export function testPrograms(page: PagePrograms, redisUrl: () => string): void {
  test('has only blocks that are run', () => {
    expect(page.files.length).toBe(page.text.match(/```ts\n/g)?.length)
    expect(page.programs.length).toBe(page.files.length - 1)
  })

  test.each(page.programs)(
    'has a program $name that prints what it says',
    async ({ name, text }) => {
      const expected = [...text.matchAll(/\/\/ → (.*)$/gm)].map(([, line]) => line)
      expect(await page.linesOf(name, redisUrl())).toEqual(expected)
    },
    60_000,
  )
}
