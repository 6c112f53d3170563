// Finds sockets, threads, processes, timers and files with a position, which forks cannot share. The zygote
// checks when the user's modules have loaded (zygote-entry.ts).
import { constants, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { resolve } from 'node:path'

const CONTROL = 3
const ACCESS_MODE = 3 // the bits for read and write
/** Of the process's own output, and the end of what is closed. */
const OWN_RESOURCES = ['PipeWrap', 'TTYWrap', 'CloseReq']

export interface Open {
  threads: string[]
  /** Descriptors with a shared position, by path. */
  files: Map<number, string>
}

/** The descriptors that each Node process has. */
export function measureOpen(): Open {
  return { threads: threads(), files: files() }
}

/** One entry for each open resource of modules, without files that `shared` names. */
export function leftOpen(before: Open, shared: readonly string[]): string[] {
  const resources = process.getActiveResourcesInfo().filter((name) => !OWN_RESOURCES.includes(name))
  const foreignThreads = threads().filter((thread) => !before.threads.includes(thread))
  const foreignFiles = [...files()].filter(
    ([descriptor, path]) =>
      before.files.get(descriptor) !== path && !shared.some((name) => resolve(name) === path),
  )
  return [
    ...new Set(resources),
    ...sockets().map((descriptor) => `a socket (descriptor ${descriptor})`),
    ...foreignFiles.map(([descriptor, path]) => `a file (${path}, descriptor ${descriptor})`),
    ...foreignThreads.map((thread) => `a thread (${nameOf(thread)})`),
    ...children().map((pid) => `a process (${pid})`),
  ]
}

function threads(): string[] {
  return readdirSync('/proc/self/task')
}

function nameOf(thread: string): string {
  return textOf(`/proc/self/task/${thread}/comm`).trim() || thread
}

/** Also unref'ed ones: all children would share an idle connection of a pool. */
function sockets(): number[] {
  return descriptors().flatMap(([descriptor, target]) => (target.startsWith('socket:') ? [descriptor] : []))
}

function files(): Map<number, string> {
  return new Map(
    descriptors().filter(([descriptor, target]) => target.startsWith('/') && hasPosition(descriptor)),
  )
}

/** A device has none, a memory file is mapped, and who appends alone writes at the end, wherever that is. */
function hasPosition(descriptor: number): boolean {
  const flags = Number.parseInt(
    /^flags:\s*(\d+)/m.exec(textOf(`/proc/self/fdinfo/${descriptor}`))?.[1] ?? '',
    8,
  )
  if ((flags & ACCESS_MODE) === constants.O_WRONLY && (flags & constants.O_APPEND) !== 0) return false
  const kind = statSync(`/proc/self/fd/${descriptor}`, { throwIfNoEntry: false })
  return kind !== undefined && !kind.isCharacterDevice()
}

function descriptors(): [descriptor: number, target: string][] {
  return readdirSync('/proc/self/fd').flatMap((name) => {
    const target = targetOf(name)
    return Number(name) > CONTROL && target && !target.startsWith('/memfd:') ? [[Number(name), target]] : []
  })
}

function targetOf(descriptor: string): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`)
  } catch {
    return // it was the one that this folder was read with
  }
}

function children(): string[] {
  return textOf(`/proc/self/task/${process.pid}/children`).split(' ').filter(Boolean) // not every kernel tells
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
