// Loads the compiled part (*.c beside this file) for the worker, which orders forks, and for the zygote,
// which makes them. Also says why a platform has none.
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'

export interface Native {
  /** sha256 of its sources. */
  sourceHash: string
  /** In the worker: two ends of a stream socket, or a negative errno. */
  pair(): [ours: number, theirs: number] | number
  /**
   * In the worker: orders a fork. Our ends of the child's message channel, stdout and stderr, or a negative
   * errno.
   */
  order(control: number, number: number): [channel: number, stdout: number, stderr: number] | number
  /** In the worker: reaps a zombie that Node did not start. */
  reap(pid: number): void
  /** In the worker and in a spawned child: this process adopts the orphans of its descendants (subreaper). */
  beSubreaper(): void
  /** In the zygote: whether it could tell V8 that there are no helper threads. */
  beZygote(): boolean
  /** In the zygote: children inherit the page tables of what it uses of Node's files from now on. */
  sharePageTables(): void
  /** In the worker: hides its environment and memory from other processes of the user. */
  hide(): void
  /**
   * In the zygote: forks when told to, on descriptor 3. Returns in each child, with its pid, and 0 in the
   * zygote when it is to end.
   */
  serve(): number
  /** In a child: ends the process at once. */
  exit(code: number): never
}

const TESTED_MAJORS = [22, 24, 26]
/** The environment that makes Node a zygote; children hide it from their processes. */
export const ZYGOTE_OPTIONS = ['--single-threaded', '--v8-pool-size=1']

export function pathOfNative(arch: string = process.arch): string {
  return fileURLToPath(new URL(`../../../../prebuilt/linux-${arch}-glibc/fork.node`, import.meta.url))
}

export function loadNative(): Native {
  return createRequire(import.meta.url)(pathOfNative()) as Native
}

/** The value of LD_PRELOAD for a zygote (v8.c); the paths in it cannot be quoted. */
export function preloadOf(earlier: string | undefined): { LD_PRELOAD?: string } {
  const path = pathOfNative()
  return /[\s:$]/.test(path) ? {} : { LD_PRELOAD: earlier ? `${path}:${earlier}` : path }
}

/** So that no job can read in /proc how its worker reaches Redis. Without a compiled part it can (README). */
export function hideFromJobs(): void {
  if (process.platform !== 'linux') return
  try {
    loadNative().hide()
  } catch {
    // Another C library or processor.
  }
}

export interface Platform {
  os: string
  arch: string
  nodeMajor: number
  glibc: string | undefined
}

/** Why this platform has no Fork, as the end of a sentence. Undefined where Fork may work. */
export function whyNoFork({ os, arch, nodeMajor, glibc }: Platform): string | undefined {
  if (os !== 'linux') return `Fork needs Linux, and this is ${os}`
  if (arch !== 'x64' && arch !== 'arm64') return `Fork has no compiled part for ${arch}`
  if (glibc === undefined)
    return 'Fork needs glibc, and this Node uses another C library (musl, as on Alpine)'
  if (!TESTED_MAJORS.includes(nodeMajor))
    return `Fork is tested with Node ${TESTED_MAJORS.join(', ')}, and this is Node ${nodeMajor}`
}

export function thisPlatform(): Platform {
  const nodeMajor = Number(process.versions.node.split('.')[0])
  return { os: process.platform, arch: process.arch, nodeMajor, glibc: glibcVersion() }
}

function glibcVersion(): string | undefined {
  if (process.platform !== 'linux' || !process.report) return
  Object.assign(process.report, { excludeNetwork: true }) // it would ask the name server
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime
}
