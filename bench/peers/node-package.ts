// Installs peers that run on Node into a folder of the cache: their packages by exact version, and their
// programs beside them, as JavaScript, so that no start pays for reading TypeScript.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import * as nodeModule from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PROGRAMS = fileURLToPath(new URL('./programs/', import.meta.url))

/** `versions` are package names with exact versions. Answers when they are there. */
export function installPackages(folder: string, versions: Record<string, string>): void {
  mkdirSync(folder, { recursive: true })
  const isThere = Object.entries(versions).every(([name, version]) => {
    const manifest = join(folder, 'node_modules', name, 'package.json')
    return existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version
  })
  if (isThere) return
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify({ private: true, type: 'module', dependencies: versions }),
  )
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: 'pipe',
  })
}

/** Writes the programs of a folder of programs/, and what all of them share, into the folder. */
export function installPrograms(folder: string, name: string): void {
  for (const source of ['node', name]) {
    const target = join(folder, source)
    mkdirSync(target, { recursive: true })
    for (const file of readdirSync(join(PROGRAMS, source)).filter((each) => /(?<!\.d)\.ts$/.test(each))) {
      const text = nodeModule.stripTypeScriptTypes(readFileSync(join(PROGRAMS, source, file), 'utf8'))
      const importing = text.replaceAll(/(from|import) '(\.[^']+)\.ts'/g, "$1 '$2.js'")
      writeFileSync(join(target, file.replace(/\.ts$/, '.js')), importing)
    }
  }
}

export function startNode(args: string[], env: Record<string, string> = {}): ChildProcess {
  const { NODE_EXTRA_CA_CERTS: _slow, NODE_OPTIONS: _strange, ...inherited } = process.env
  return spawn(process.execPath, args, { env: { ...inherited, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
}
