// The release before this one, installed as its users have it: fixtures/ has the package that was published. CONTRIBUTING.md says when that
// is replaced.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const FIXTURES = fileURLToPath(new URL('./fixtures', import.meta.url))
const CHANGELOG = new URL('../CHANGELOG.md', import.meta.url)

export interface PreviousRelease {
  readonly version: string
  /** Files put here import it as `millhand`. */
  readonly folder: string
  /** Its worker, to be run by Node. */
  readonly worker: string
  readonly client: typeof import('millhand/client')
  readonly queue: typeof import('millhand/queue')
  remove(): void
}

export async function installPreviousRelease(): Promise<PreviousRelease> {
  const [archive = ''] = readdirSync(FIXTURES).filter((name) => name.endsWith('.tgz'))
  const folder = mkdtempSync(join(tmpdir(), 'millhand-previous-'))
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }')
  const options = ['--prefer-offline', '--no-audit', '--no-fund', '--silent']
  execFileSync('npm', ['install', ...options, join(FIXTURES, archive)], { cwd: folder, stdio: 'pipe' })
  const installed = join(folder, 'node_modules/millhand')
  const load = (file: string) => import(pathToFileURL(join(installed, 'dist', file)).href)
  return {
    version: versionIn(join(installed, 'package.json')),
    folder,
    worker: join(installed, 'bin/millhand-worker.js'),
    client: await load('client.js'),
    queue: await load('queue/index.js'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** As the changelog has it: the newest that is released; while none is, the one that is being made. */
export function expectedVersion(): string {
  const headings = [...readFileSync(CHANGELOG, 'utf8').matchAll(/^## (\d+\.\d+\.\d+)(.*)$/gm)]
  const released = headings.find(([, , rest = '']) => !rest.includes('not yet released'))
  return (released ?? headings.at(-1))?.[1] ?? ''
}

const versionIn = (file: string): string => String(JSON.parse(readFileSync(file, 'utf8')).version)
