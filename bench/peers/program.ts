// Installs and starts the peers that do not run on Node: Python's into a virtual environment of its own each,
// Go's as a program that is built once. Used by their files beside this one.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { cp, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Place, WorkerOptions } from '../peer.ts'
import { removeFolder, temporaryFolder } from '../processes.ts'

const INSTALL_PATIENCE_MS = 600_000
const execute = promisify(execFile)
const run = (command: string, args: string[], options: { cwd?: string } = {}) =>
  execute(command, args, { ...options, timeout: INSTALL_PATIENCE_MS })
const PROGRAMS = fileURLToPath(new URL('programs', import.meta.url))
const REQUIREMENTS = 'requirements.txt'

export const programsOf = (name: string): string => join(PROGRAMS, name)

/**
 * Makes a virtual environment of exactly the versions in the requirements.txt of the peer's programs, or
 * finds it. Answers the versions of the packages a reader asks for, and Python's.
 */
export async function installPython(
  folder: string,
  name: string,
  packages: string[],
): Promise<Record<string, string>> {
  const requirements = join(programsOf(name), REQUIREMENTS)
  const wanted = await readFile(requirements, 'utf8')
  if ((await textOf(join(folder, REQUIREMENTS))) !== wanted || !(await pythonOf(folder))) {
    await putInPlace(folder, async (unfinished) => {
      await run('python3', ['-m', 'venv', unfinished])
      await run(join(unfinished, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '-r', requirements])
      await cp(requirements, join(unfinished, REQUIREMENTS))
    })
  }
  return { ...pinned(wanted, packages), python: (await pythonOf(folder)) ?? 'unknown' }
}

/**
 * Builds the Go module in the peer's programs, or finds it built from the same sources. Answers Go's version.
 */
export async function installGo(folder: string, name: string): Promise<string> {
  const sources = programsOf(name)
  if (!(await isSame(sources, folder))) {
    await putInPlace(folder, async (unfinished) => {
      await cp(sources, unfinished, { recursive: true })
      await run('go', ['build', '-o', name, '.'], { cwd: unfinished })
    })
  }
  const { stdout } = await run('go', ['version', join(folder, name)])
  return /go(\d\S*)/.exec(stdout.split(': ').at(-1) ?? '')?.[1] ?? 'unknown'
}

export function startPython(
  folder: string,
  name: string,
  program: 'producer' | 'worker',
  env: Record<string, string>,
): ChildProcess {
  return start(join(folder, 'bin/python'), [join(programsOf(name), `${program}.py`)], {
    ...env,
    PYTHONPATH: PROGRAMS,
    // Nothing is written into the checkout.
    PYTHONDONTWRITEBYTECODE: '1',
  })
}

export function start(command: string, args: string[], env: Record<string, string>): ChildProcess {
  return spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** The environment of each program; see programs/record.py. */
export function told(place: Place, options?: WorkerOptions): Record<string, string> {
  return {
    BENCH_REDIS_URL: place.redisUrl,
    BENCH_RECORDS: place.records,
    ...(options && { BENCH_TASK: options.task }),
  }
}

/**
 * For peers where each job at once costs a process or a contended thread: one a processor, unless jobs mostly
 * wait.
 */
export function atOnce({ slots, task }: WorkerOptions): number {
  return task === 'sleeps' || task === 'sleeps-long' ? slots : Math.min(slots, availableParallelism())
}

/**
 * Makes a folder under another name first, so that an interrupted installation is never taken for a whole
 * one.
 */
async function putInPlace(folder: string, make: (unfinished: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(folder), { recursive: true })
  const unfinished = temporaryFolder(`${folder}.unfinished-`)
  try {
    await make(unfinished)
    await rm(folder, { recursive: true, force: true })
    await rename(unfinished, folder)
  } finally {
    removeFolder(unfinished)
  }
}

async function pythonOf(folder: string): Promise<string | undefined> {
  try {
    const { stdout } = await run(join(folder, 'bin/python'), ['--version'])
    return stdout.replace('Python', '').trim()
  } catch {
    return undefined
  }
}

function pinned(requirements: string, packages: string[]): Record<string, string> {
  const versions = new Map(
    requirements.split('\n').map((line): [string, string] => {
      const [name = '', version = ''] = line.trim().split('==')
      return [name, version]
    }),
  )
  return Object.fromEntries(packages.map((name) => [name, versions.get(name) ?? 'unknown']))
}

async function isSame(sources: string, folder: string): Promise<boolean> {
  const names = await readdir(sources)
  const same = names.map(
    async (name) => (await textOf(join(folder, name))) === (await textOf(join(sources, name))),
  )
  return (await Promise.all(same)).every(Boolean)
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return undefined
  }
}
