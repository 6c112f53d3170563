// Images for the cluster without a registry: a base image made of this machine's Node and C library, and images built from Dockerfiles
// on top of it, each as an archive that Cluster.loadImage takes.
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Building, cacheFolder } from './binary.ts'
import { installPackages, snapshotterFor } from './needs.ts'
import { asBoolean, findProgram, run } from './run.ts'
import { fromDebian } from './tools.ts'

export interface ImageContents {
  name: string
  /** Path in the image → path here, a file or a folder. */
  files: Record<string, string>
  /** Path in the image → text. */
  texts?: Record<string, string>
  /** Path in the image → what the symbolic link there says. */
  links?: Record<string, string>
  entrypoint: string[]
  environment?: string[]
  tarball: string
}

export interface ImageBuild extends Partial<Building> {
  /** With its tag: `millhand.test/operator:test`. Pods name it so, with imagePullPolicy IfNotPresent. */
  name: string
  dockerfile: string
  /** The folder that COPY copies from. */
  context: string
  buildArguments?: Record<string, string>
  tarball: string
}

interface BaseImage {
  name: string
  tarball: string
}

const NODE = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url))
/** What the dynamic linker finds only at run time. */
const MORE_LIBRARIES = [
  'libnss_dns.so.2',
  'libnss_files.so.2',
  'libresolv.so.2',
  'librt.so.1',
  'libutil.so.1',
]
const CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'
const ACCOUNTS = {
  '/etc/passwd': 'root:x:0:0:root:/root:/sbin/nologin\nnode:x:1000:1000::/tmp:/sbin/nologin\n',
  '/etc/group': 'root:x:0:\nnode:x:1000:\n',
  '/etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
}

/**
 * Builds a Dockerfile of this project with a real engine: docker where it answers, else buildah. Its build arguments BASE and BUILDER
 * name the images of `baseImage` and `builderImage`.
 */
export async function buildImage(build: ImageBuild): Promise<string> {
  const usesBuilder = /^ARG BUILDER\b/m.test(readFileSync(build.dockerfile, 'utf8'))
  const bases = { BASE: await baseImage(), ...(usesBuilder && { BUILDER: await builderImage(build) }) }
  const names = Object.entries(bases).map(([argument, { name }]) => [argument, name])
  const buildArguments = { ...Object.fromEntries(names), ...build.buildArguments }
  const words = Object.entries(buildArguments).map(([name, value]) => `--build-arg=${name}=${value}`)
  const args = [...words, `--tag=${build.name}`, `--file=${build.dockerfile}`, build.context]
  const engine = (await answers(['docker', 'info'])) ? buildWithDocker : buildWithBuildah
  await engine(build, Object.values(bases), args)
  return build.tarball
}

/** What an image needs to run: Node, the libraries it loads, certificates, time zones and two accounts; no shell. */
export async function baseImage(): Promise<BaseImage> {
  return cachedImage('base', {
    files: await filesOfBase(),
    texts: ACCOUNTS,
    entrypoint: ['/usr/local/bin/node'],
  })
}

/** `baseImage` and what a build stage needs: a shell with the usual commands (busybox), and npm. */
export async function builderImage({ say = () => {}, signal }: Partial<Building> = {}): Promise<BaseImage> {
  const npm = await findProgram('npm')
  if (!npm) throw new Error('there is no npm on the PATH')
  const busybox = await fromDebian('busybox-static', 'bin/busybox', { say, signal })
  const applets = (await run([busybox, '--list']))
    .trim()
    .split('\n')
    .filter((name) => name !== 'busybox')
  return cachedImage('builder', {
    files: {
      ...(await filesOfBase()),
      '/bin/busybox': busybox,
      '/usr/local/lib/node_modules/npm': dirname(dirname(realpathSync(npm))),
    },
    texts: ACCOUNTS,
    links: {
      ...Object.fromEntries(applets.map((name) => [`/bin/${name}`, 'busybox'])),
      '/usr/local/bin/npm': '../lib/node_modules/npm/bin/npm-cli.js',
      '/usr/bin/env': '/bin/busybox',
    },
    environment: [`NODE_EXTRA_CA_CERTS=${CERTIFICATES}`],
    entrypoint: ['/bin/sh'],
  })
}

/** Kept in the cache by what it is made of. */
async function cachedImage(
  kind: string,
  contents: Omit<ImageContents, 'name' | 'tarball'>,
): Promise<BaseImage> {
  const hash = createHash('sha256').update(JSON.stringify([contents, process.version]))
  for (const source of Object.values(contents.files).filter((path) => path.includes('.so')))
    hash.update(readFileSync(source))
  const tag = hash.digest('hex').slice(0, 16)
  const tarball = join(cacheFolder(), 'images', `${kind}-${tag}.tar`)
  const image = { name: `millhand.test/${kind}:${tag}`, tarball }
  if (existsSync(tarball)) return image
  mkdirSync(dirname(tarball), { recursive: true })
  await packImage({ ...contents, ...image })
  return image
}

/** Writes a docker archive of one layer. */
export async function packImage(contents: ImageContents): Promise<void> {
  const { name, entrypoint, tarball } = contents
  const temporary = mkdtempSync(join(tmpdir(), 'millhand-image-'))
  try {
    const root = join(temporary, 'root')
    mkdirSync(join(root, 'tmp'), { recursive: true })
    for (const [path, source] of Object.entries(contents.files))
      cpSync(source, join(root, path), { recursive: true, dereference: true, preserveTimestamps: true })
    for (const [path, text] of Object.entries(contents.texts ?? {})) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      writeFileSync(join(root, path), text)
    }
    for (const [path, target] of Object.entries(contents.links ?? {})) {
      mkdirSync(dirname(join(root, path)), { recursive: true })
      symlinkSync(target, join(root, path))
    }
    await run(['chmod', '1777', join(root, 'tmp')])
    const layer = join(temporary, 'layer.tar')
    await run([
      'tar',
      '--create',
      '--file',
      layer,
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '-C',
      root,
      '.',
    ])
    const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
    const config = {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Entrypoint: entrypoint, Env: [PATH, ...(contents.environment ?? [])] },
      created: '1970-01-01T00:00:00Z',
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'test/cluster/image.ts' }],
      rootfs: { type: 'layers', diff_ids: [`sha256:${await sha256(layer)}`] },
    }
    writeFileSync(join(temporary, 'config.json'), JSON.stringify(config))
    const manifest = [{ Config: 'config.json', RepoTags: [name], Layers: ['layer.tar'] }]
    writeFileSync(join(temporary, 'manifest.json'), JSON.stringify(manifest))
    const packed = `${tarball}.${process.pid}`
    await run([
      'tar',
      '--create',
      '--file',
      packed,
      '-C',
      temporary,
      'manifest.json',
      'config.json',
      'layer.tar',
    ])
    renameSync(packed, tarball)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

async function buildWithDocker(
  { name, tarball, signal }: ImageBuild,
  bases: BaseImage[],
  args: string[],
): Promise<void> {
  for (const base of bases) await run(['docker', 'load', '--input', base.tarball], { signal })
  await run(['docker', 'build', ...args], { signal })
  await run(['docker', 'save', '--output', tarball, name], { signal })
}

/**
 * Needs no service and leaves no mounts: it has a mount namespace of its own, and its layers lie in the cache, where the next build
 * finds them. RUN uses this machine's network.
 */
async function buildWithBuildah(
  { name, tarball, signal, say }: ImageBuild,
  bases: BaseImage[],
  args: string[],
): Promise<void> {
  if (!(await findProgram('buildah'))) {
    say?.('Installing with apt-get: buildah')
    await installPackages(['buildah'])
  }
  const storage = join(cacheFolder(), 'images', 'storage')
  mkdirSync(storage, { recursive: true })
  const temporary = mkdtempSync(join(tmpdir(), 'millhand-build-'))
  const policy = join(temporary, 'policy.json')
  writeFileSync(policy, '{"default": [{"type": "insecureAcceptAnything"}]}')
  const driver = (await snapshotterFor(storage)) === 'overlayfs' ? 'overlay' : 'vfs'
  const where = ['--root', storage, '--runroot', join(temporary, 'run'), '--storage-driver', driver]
  const buildah = (command: string, ...words: string[]) =>
    run(['unshare', '--mount', 'buildah', ...where, command, ...words], { signal })
  try {
    for (const base of bases) {
      const isThere = await buildah('inspect', '--type', 'image', base.name).then(...asBoolean)
      if (!isThere)
        await buildah('pull', '--quiet', '--signature-policy', policy, `docker-archive:${base.tarball}`)
    }
    const how = ['--isolation', 'chroot', '--layers', '--pull-never', '--signature-policy', policy]
    await buildah('build', ...how, ...args)
    rmSync(tarball, { force: true })
    await buildah('push', '--quiet', '--signature-policy', policy, name, `docker-archive:${tarball}:${name}`)
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

async function filesOfBase(): Promise<Record<string, string>> {
  const linked = await run(['ldd', NODE])
  const libraries = [...linked.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)
  const libc = libraries.find((path) => path.endsWith('/libc.so.6'))
  if (!libc) throw new Error('the base image needs glibc: this machine has another C library')
  const more = MORE_LIBRARIES.map((name) => join(dirname(libc), name))
  const others = [CERTIFICATES, '/usr/share/zoneinfo']
  const sources = [...libraries, ...more, ...others].filter((path) => existsSync(path))
  return { '/usr/local/bin/node': NODE, ...Object.fromEntries(sources.map((path) => [path, path])) }
}

const answers = (command: string[]) => run(command, { timeoutMs: 4_000 }).then(...asBoolean)

const sha256 = async (file: string) => (await run(['sha256sum', file])).split(' ')[0] ?? ''
