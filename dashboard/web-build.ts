// Builds the pages into a folder: `node web-build.ts`, or `buildWeb()` for whoever serves them from the repository. Names of files have
// the hash of their content, and nothing is inline, so that a strict Content-Security-Policy holds.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const SOURCES = ['web', 'src/api.ts', 'src/api', 'src/schema.ts']
  .map((path) => join(HERE, path))
  .filter(existsSync)
const PLACE_OF_ASSETS = '    <!-- assets -->\n'

export interface WebBuild {
  /** Default: dist/web beside this file. */
  out?: string
  /** Also where no source is newer than what is there. */
  always?: boolean
}

/** Resolves to the folder with index.html and assets/. */
export async function buildWeb({
  out = join(HERE, 'dist/web'),
  always = false,
}: WebBuild = {}): Promise<string> {
  if (!always && isNewest(out)) return out
  // Only whoever builds needs the builder.
  const { build } = await import('esbuild')
  const { outputFiles, metafile } = await build({
    entryPoints: [join(HERE, 'web/main.tsx')],
    absWorkingDir: HERE,
    outdir: out,
    entryNames: 'assets/[name]-[hash]',
    chunkNames: 'assets/[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    minify: true,
    target: ['chrome123', 'firefox120', 'safari17.5'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    conditions: ['millhand-source'],
    legalComments: 'none',
    metafile: true,
    write: false,
  })
  const entry = Object.entries(metafile.outputs).find(([, { entryPoint }]) => entryPoint === 'web/main.tsx')
  if (!entry?.[1].cssBundle) throw new Error('esbuild made no page: main.tsx has no style sheet')
  const page = readFileSync(join(HERE, 'web/index.html'), 'utf8').replace(
    PLACE_OF_ASSETS,
    linksTo(assetOf(entry[0]), assetOf(entry[1].cssBundle)),
  )
  replace(out, [...outputFiles, { path: join(out, 'index.html'), contents: Buffer.from(page) }])
  return out
}

const assetOf = (path: string) => `assets/${path.split('/').at(-1)}`

const linksTo = (script: string, style: string) =>
  `    <link rel="stylesheet" href="${style}">\n    <script type="module" src="${script}"></script>\n`

/** All at once: whoever serves the folder meanwhile sees the old one or the new one. */
function replace(out: string, files: readonly { path: string; contents: Uint8Array }[]): void {
  const fresh = `${out}.${process.pid}`
  for (const { path, contents } of files) {
    const target = join(fresh, path.slice(out.length))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, contents)
  }
  rmSync(out, { recursive: true, force: true })
  renameSync(fresh, out)
}

function isNewest(out: string): boolean {
  const page = join(out, 'index.html')
  if (!existsSync(page)) return false
  const builtAtMs = statSync(page).mtimeMs
  return SOURCES.flatMap(filesIn).every((file) => statSync(file).mtimeMs <= builtAtMs)
}

function filesIn(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  const names = readdirSync(path, { recursive: true, encoding: 'utf8' })
  return [path, ...names.map((name) => join(path, name))]
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildWeb({ always: true })
