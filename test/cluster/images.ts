// The project's own images, for every suite that needs them in the cluster: built once for each state of their sources, kept in the
// cache, and loaded where a suite asks for them.
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { theOutside } from '../../cli/src/local/outside.ts'
import { findRedisServer } from '../../cli/src/local/redis-server.ts'
import { alone, type Building, cacheFolder } from './binary.ts'
import type { Cluster } from './cluster.ts'
import { baseImage, builderImage, buildImage, packImage } from './image.ts'
import { run } from './run.ts'

const IMAGES = ['operator', 'worker', 'thumbnails', 'redis'] as const
export type ProjectImage = (typeof IMAGES)[number]

interface Recipe {
  dockerfile: string
  context: string
  /** Files and folders of the repository that the image is made from. */
  sources: readonly string[]
  /** The image that its last stage begins with, when that is one of ours. */
  from?: BuiltImage
}

type BuiltImage = Exclude<ProjectImage, 'redis'>
interface Archive {
  name: string
  tarball: string
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const WORKSPACE = ['package.json', 'package-lock.json', '.npmrc', '.dockerignore', 'tsconfig.json']
const PACKAGES = [
  'cli/package.json',
  'control/package.json',
  'dashboard/package.json',
  'operator/package.json',
  'worker-runtime/package.json',
]
const RECIPES: Record<BuiltImage, Recipe> = {
  operator: {
    dockerfile: 'operator/Dockerfile',
    context: '.',
    sources: [...WORKSPACE, ...PACKAGES, 'crds', 'control', 'dashboard', 'operator', 'worker-runtime'],
  },
  worker: {
    dockerfile: 'worker-runtime/Dockerfile',
    context: '.',
    sources: [...WORKSPACE, ...PACKAGES, 'worker-runtime'],
  },
  thumbnails: {
    dockerfile: 'examples/thumbnails/Dockerfile',
    context: 'examples/thumbnails',
    sources: ['examples/thumbnails'],
    from: 'worker',
  },
}
const UNUSED_AFTER_MS = 24 * 3_600_000
const say = (line: string) => process.stderr.write(`${line}\n`)

/** The names that pods call them by, with imagePullPolicy IfNotPresent; `redis` takes the arguments of redis-server. */
export async function projectImages<Image extends ProjectImage = ProjectImage>(
  cluster: Cluster,
  images: readonly Image[] = IMAGES as readonly ProjectImage[] as readonly Image[],
): Promise<Record<Image, string>> {
  const folder = imagesFolder()
  mkdirSync(folder, { recursive: true })
  const archives = await alone(join(folder, 'building.json'), { say }, async () => {
    const made: [Image, Archive][] = []
    for (const image of images) made.push([image, await archiveOf(image)])
    return made
  })
  for (const [, archive] of archives) await cluster.loadImage(archive)
  return Object.fromEntries(archives.map(([image, { name }]) => [image, name])) as Record<Image, string>
}

async function archiveOf(image: ProjectImage): Promise<Archive> {
  if (image === 'redis') return redisImage()
  const archive = await nameOf(image)
  return kept(image, archive, () => build(image, archive))
}

/** With its tag, which tells the state of all that it is made from. */
async function nameOf(image: BuiltImage): Promise<Archive> {
  const { dockerfile, sources, from } = RECIPES[image]
  const bases = [
    from ? (await nameOf(from)).name : (await baseImage()).name,
    (await builderImage({ say })).name,
  ]
  const hash = createHash('sha256')
    .update(JSON.stringify(bases))
    .update(readFileSync(join(ROOT, dockerfile)))
  for (const file of sources.flatMap(filesOf)) hash.update(file).update(readFileSync(join(ROOT, file)))
  return archiveNamed(image, hash.digest('hex'))
}

async function build(image: BuiltImage, { name, tarball }: Archive): Promise<void> {
  const { dockerfile, context, from } = RECIPES[image]
  const building: Building = { say }
  // The engine must know it: its archive alone does not help. What was built before costs a second.
  const base = from && (await nameOf(from))
  if (from && base) await build(from, base)
  say(`Building the image ${name}`)
  await buildImage({
    ...building,
    name,
    dockerfile: join(ROOT, dockerfile),
    context: join(ROOT, context),
    tarball,
    ...(base && { buildArguments: { BASE: base.name } }),
  })
}

/** This machine's server and the libraries that it loads. */
async function redisImage(): Promise<Archive> {
  const { path } = await findRedisServer(theOutside(), say)
  const linked = await run(['ldd', path])
  const libraries = [...linked.matchAll(/(\/\S+) \(0x/g)].map(([, library = '']) => library)
  const files = {
    '/usr/bin/redis-server': path,
    ...Object.fromEntries(libraries.map((file) => [file, file])),
  }
  const hash = createHash('sha256').update(JSON.stringify(files))
  for (const file of [path, ...libraries]) hash.update(readFileSync(file))
  const archive = archiveNamed('redis', hash.digest('hex'))
  return kept('redis', archive, () =>
    packImage({ ...archive, files, entrypoint: ['/usr/bin/redis-server'], texts: {} }),
  )
}

const archiveNamed = (image: ProjectImage, hash: string): Archive => ({
  name: `millhand.test/${image}:${hash.slice(0, 16)}`,
  tarball: join(imagesFolder(), `project-${image}-${hash.slice(0, 16)}.tar`),
})

/** Makes it when it is not there, and clears away what nobody has used for a day. */
async function kept(image: ProjectImage, archive: Archive, make: () => Promise<unknown>): Promise<Archive> {
  if (!existsSync(archive.tarball)) await make()
  const now = new Date()
  utimesSync(archive.tarball, now, now)
  const others = readdirSync(imagesFolder()).filter((file) => file.startsWith(`project-${image}-`))
  for (const file of others.map((name) => join(imagesFolder(), name)))
    if (now.getTime() - statSync(file).mtimeMs > UNUSED_AFTER_MS) rmSync(file, { force: true })
  return archive
}

/** Relative to the repository, in a fixed order, without what the images never see. */
function filesOf(source: string): string[] {
  if (!statSync(join(ROOT, source)).isDirectory()) return [source]
  return readdirSync(join(ROOT, source), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.md') && entry.name !== 'Dockerfile')
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length))
    .filter((path) => !/(^|\/)(node_modules|dist|thumbnails-out|\.millhand)\//.test(path))
    .sort()
}

const imagesFolder = () => join(cacheFolder(), 'images')
