// Watches the files of `millhand up`: saved code replaces the workers, saved manifests are read again.
import { statSync } from 'node:fs'
import { basename, dirname, extname, relative, sep } from 'node:path'
import { watch } from 'chokidar'

export interface Reload {
  /** The watched files and folders, with their subfolders. */
  readonly folders: readonly string[]
  stop(): Promise<void>
}

export interface ReloadOptions {
  /** Folders with task modules, and the folders or files of the manifests. */
  paths: readonly string[]
  /** Absolute paths of the files that were saved, added or removed together. */
  onCode: (files: string[]) => void
  onManifests: (files: string[]) => void
  /** A path cannot be watched, so its changes are not noticed. Called once for each path. */
  onTrouble: (message: string) => void
}

// Not .json: tasks may write such files beside their code, and each write would replace the workers.
const CODE = new Set(['.ts', '.mts', '.cts', '.js', '.mjs', '.cjs'])
const MANIFESTS = new Set(['.yaml', '.yml'])
/** Debounce: editors write a file in several steps, and people save several files at once. */
const QUIET_MS = 150

/** Resolves when all paths are watched. */
export async function watchFiles(options: ReloadOptions): Promise<Reload> {
  const { paths, onCode, onManifests } = options
  const folders = [...new Set(paths.map(folderOf))]
  const watcher = watch(folders, {
    ignoreInitial: true,
    ignored: (path, stats) => isIgnored(path, folders, stats?.isFile() === true),
  })
  const saved = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  const report = () => {
    const files = [...saved].sort()
    saved.clear()
    const code = files.filter((file) => CODE.has(extname(file)))
    const manifests = files.filter((file) => MANIFESTS.has(extname(file)))
    if (manifests.length > 0) onManifests(manifests)
    if (code.length > 0) onCode(code)
  }
  watcher.on('all', (event, path) => {
    if (!['add', 'change', 'unlink'].includes(event)) return
    saved.add(path)
    clearTimeout(timer)
    timer = setTimeout(report, QUIET_MS)
  })
  const told = new Set<string>()
  watcher.on('error', (error) => {
    const trouble = troubleOf(error as NodeJS.ErrnoException)
    if (!told.has(trouble)) options.onTrouble(trouble)
    told.add(trouble)
  })
  await new Promise<void>((resolve) => watcher.once('ready', () => resolve()))
  return {
    folders,
    async stop() {
      clearTimeout(timer)
      await watcher.close()
    },
  }
}

/** A limit of the system is the same for each file, so the message names no file. */
function troubleOf({ code, path, message }: NodeJS.ErrnoException): string {
  const limit = LIMITS[code ?? '']
  if (limit) return `files cannot all be watched: ${limit} is reached; raise it, or start with --no-reload`
  return `${path ?? 'a folder'} cannot be watched (${code ?? message}): what is saved there starts no new workers; --no-reload watches nothing`
}

const LIMITS: Record<string, string> = {
  ENOSPC: 'the limit fs.inotify.max_user_watches',
  EMFILE: 'the limit of open files (ulimit -n) or fs.inotify.max_user_instances',
  ENFILE: 'the limit fs.file-max',
}

/** Only names below a watched folder count: the folder itself may begin with a dot. */
function isIgnored(path: string, folders: string[], isFile: boolean): boolean {
  const root = folders
    .filter((folder) => path === folder || path.startsWith(folder + sep))
    .sort((a, b) => b.length - a.length)[0]
  if (root === undefined || path === root) return false
  const steps = relative(root, path).split(sep)
  if (steps.some((step) => step === 'node_modules' || step.startsWith('.'))) return true
  return isFile && !CODE.has(extname(path)) && !MANIFESTS.has(extname(path))
}

function folderOf(path: string): string {
  const isFile = statSync(path, { throwIfNoEntry: false })?.isFile() ?? basename(path).includes('.')
  return isFile ? dirname(path) : path
}
