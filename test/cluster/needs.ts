// What the testbed needs of this machine: says what is missing, installs what Debian has, and refuses with the remedy for the rest.
import { existsSync, readFileSync } from 'node:fs'
import { asBoolean, findProgram, run } from './run.ts'

/** Program → the Debian package that has it. */
const PROGRAMS = {
  containerd: 'containerd',
  ctr: 'containerd',
  runc: 'runc',
  iptables: 'iptables',
  openssl: 'openssl',
  ip: 'iproute2',
  nsenter: 'util-linux',
  unshare: 'util-linux',
  mount: 'mount',
  gcc: 'gcc',
}

const OLDEST_GO = [1, 24] as const
const NETWORK_PLUGIN_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni']

/** Debian packages to install. */
export async function missingPackages(): Promise<string[]> {
  const missing = new Set<string>()
  for (const [program, debianPackage] of Object.entries(PROGRAMS))
    if (!(await findProgram(program))) missing.add(debianPackage)
  if (!networkPlugins()) missing.add('containernetworking-plugins')
  if (missing.has('gcc')) missing.add('libc6-dev')
  return [...missing]
}

/** Reasons why this machine cannot have a testbed, each with its remedy. */
export async function reasonsAgainst({ binaryIsBuilt }: { binaryIsBuilt: boolean }): Promise<string[]> {
  const reasons: string[] = []
  if (process.platform !== 'linux') reasons.push(`it needs Linux, and this is ${process.platform}`)
  if (process.getuid?.() !== 0) reasons.push('it needs root, for namespaces and containers: run it as root')
  const missing = await missingPackages()
  if (missing.length && !(await findProgram('apt-get')))
    reasons.push(`there is no apt-get to install what is missing; install: ${missing.join(' ')}`)
  const version = binaryIsBuilt ? undefined : await goVersion()
  if (!binaryIsBuilt && !isAtLeast(version, OLDEST_GO))
    reasons.push(
      `it needs Go ${OLDEST_GO.join('.')} or newer to build Kubernetes, found ${version ?? 'none'}: install Go`,
    )
  return reasons
}

/**
 * Installs without removing anything; some packages would start a service, where there is a service manager. It is not interrupted: half
 * an installation is worse than a late end.
 */
export async function installPackages(packages: string[]): Promise<void> {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' }
  // Another suite may be installing something at the same time.
  const patient = ['-o', 'DPkg::Lock::Timeout=600']
  const flags = ['-y', '-q', '--no-install-recommends', '--no-remove']
  const install = ['apt-get', ...patient, 'install', ...flags, ...packages]
  const isInstalled = await run(install, { env }).then(...asBoolean)
  if (isInstalled) return
  await run(['apt-get', ...patient, 'update', '-q'], { env })
  await run(install, { env })
}

export function networkPlugins(): string | undefined {
  return NETWORK_PLUGIN_FOLDERS.find((folder) => existsSync(`${folder}/ptp`))
}

/** Containers get file systems of layers, unless the folder lies on such a file system itself. */
export async function snapshotterFor(folder: string): Promise<'overlayfs' | 'native'> {
  const kind = await run(['stat', '--file-system', '--format=%T', folder])
  return kind.trim() === 'overlayfs' ? 'native' : 'overlayfs'
}

export function mayProtectFromOom(): boolean {
  const CAP_SYS_RESOURCE = 24n
  const [, effective = '0'] = /^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) === 1n
}

async function goVersion(): Promise<string | undefined> {
  const go = await findProgram('go')
  if (!go) return undefined
  return (await run([go, 'env', 'GOVERSION'], { timeoutMs: 20_000 })).trim().replace('go', '')
}

function isAtLeast(version: string | undefined, [major, minor]: readonly [number, number]): boolean {
  const [ownMajor = 0, ownMinor = 0] = (version ?? '').split('.').map(Number)
  return ownMajor > major || (ownMajor === major && ownMinor >= minor)
}
