// The programs of the testbed that are compiled on the spot: Kubernetes, etcd and CoreDNS from their Go modules in one binary
// (binary/main.go), and the small C program that is the box's first process and the pause image. Kept by the hash of their sources.
import { createHash } from 'node:crypto'
import {
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { theOutside } from '../../cli/src/local/outside.ts'
import { isAlive, markOf, type ProcessMark, until } from './processes.ts'
import { findProgram, run } from './run.ts'

const sources = fileURLToPath(new URL('binary', import.meta.url))
const NAMES = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'kubectl',
  'coredns',
  'forward',
]

export interface Building {
  say: (line: string) => void
  signal?: AbortSignal | undefined
}

export const cacheFolder = () => join(theOutside().cacheFolder, 'cluster')

/** Where the binaries of these sources lie, or will lie. */
export function binariesFolder(): string {
  const hash = createHash('sha256').update(process.arch)
  for (const name of ['main.go', 'forward.go', 'go.mod', 'go.sum', 'init.c'])
    hash.update(readFileSync(join(sources, name)))
  return join(cacheFolder(), hash.digest('hex').slice(0, 16))
}

export const areBinariesBuilt = () => existsSync(join(binariesFolder(), 'kubectl'))

export const kubernetesVersion = () =>
  /k8s\.io\/kubernetes v(\S+)/.exec(readFileSync(join(sources, 'go.mod'), 'utf8'))?.[1] ?? ''

/** Names of `NAMES` and `init`, in one folder. */
export async function buildBinaries(building: Building): Promise<string> {
  if (areBinariesBuilt()) return binariesFolder()
  mkdirSync(cacheFolder(), { recursive: true })
  return alone(join(cacheFolder(), 'building.json'), building, () => build(building))
}

/** Two suites may need it at the same time, and compiling twice at once takes twice as long. */
export async function alone<T>(lock: string, { say, signal }: Building, work: () => Promise<T>): Promise<T> {
  const mine = `${lock}.${process.pid}`
  writeFileSync(mine, JSON.stringify(markOf(process.pid)))
  try {
    for (let isFirst = true; !isLinked(mine, lock); isFirst = false) {
      const holder = readHolder(lock)
      if (holder && !isAlive(holder)) rmSync(lock, { force: true })
      else if (isFirst) say(`Process ${holder?.pid} builds it: waiting`)
      await until(() => !isAlive(readHolder(lock)), { withinMs: 7_200_000, everyMs: 250, signal })
    }
    try {
      return await work()
    } finally {
      rmSync(lock, { force: true })
    }
  } finally {
    rmSync(mine, { force: true })
  }
}

function readHolder(lock: string): ProcessMark | undefined {
  try {
    return JSON.parse(readFileSync(lock, 'utf8'))
  } catch {
    return undefined
  }
}

/** False when the other name is taken. A link is made whole or not at all. */
export function isLinked(file: string, as: string): boolean {
  try {
    linkSync(file, as)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

async function build(building: Building): Promise<string> {
  const folder = binariesFolder()
  if (areBinariesBuilt()) return folder
  const temporary = mkdtempSync(join(cacheFolder(), 'building-'))
  try {
    await run(['gcc', '-O2', '-static', '-o', join(temporary, 'init'), join(sources, 'init.c')], {
      signal: building.signal,
    })
    await buildKubernetes(join(temporary, 'kubernetes'), building)
    for (const name of NAMES) symlinkSync('kubernetes', join(temporary, name))
    // Atomic, and refused when another process that built at the same time was first: whoever looks finds nothing or all.
    renameSync(temporary, folder)
  } catch (error) {
    if (!areBinariesBuilt()) throw error
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
  return folder
}

async function buildKubernetes(output: string, { say, signal }: Building): Promise<void> {
  const go = (await findProgram('go')) ?? 'go'
  const env = { ...process.env, CGO_ENABLED: '0' }
  const version = kubernetesVersion()
  const [major, minor] = version.split('.')
  const about = {
    'k8s.io/component-base/version.gitVersion': `v${version}`,
    'k8s.io/component-base/version.gitMajor': major,
    'k8s.io/component-base/version.gitMinor': minor,
    'k8s.io/client-go/pkg/version.gitVersion': `v${version}`,
  }
  const flags = Object.entries(about).map(([name, value]) => `-X ${name}=${value}`)
  say(`Building Kubernetes ${version}, etcd and CoreDNS from their Go modules: once, some minutes`)
  const listed = await run([go, 'list', '-deps', '.'], { folder: sources, env, signal })
  const total = listed.split('\n').length
  let built = 0
  const progress = setInterval(() => say(`  ${built} of at most ${total} packages`), 15_000)
  try {
    const compile = [
      go,
      'build',
      '-v',
      '-trimpath',
      '-buildvcs=false',
      '-ldflags',
      `-s -w ${flags.join(' ')}`,
    ]
    await run([...compile, '-o', output, '.'], { folder: sources, env, signal, onLine: () => built++ })
  } finally {
    clearInterval(progress)
  }
}
