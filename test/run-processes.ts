// Everything that a test run started, found from the outside: by its process group, by its ancestors, and by the variable that each
// process of a run inherits. run.ts and global-setup.ts call.
import { allPids, descendants, isAlive, procText, sendSignal } from './processes.ts'

/** The variable: the run's temporary folder, whose name no other run has. */
export const RUN_FOLDER = 'MILLHAND_TEST_RUN'
const LOOK_EVERY_MS = 500

/** SIGKILL to all of it; what each was. Again, until a look finds none: one may be forking. */
export function endRun(folder: string, jestPid: number | undefined): string[] {
  const ended = new Map<number, string>()
  for (let looks = 0; looks < 10; looks += 1) {
    const alive = processesOfRun(folder, jestPid)
    if (alive.length === 0) break
    for (const pid of alive) {
      ended.set(pid, procText(pid, 'cmdline').replaceAll('\0', ' ').trim().slice(0, 80))
      sendSignal(pid, 'SIGKILL')
    }
  }
  if (jestPid !== undefined) sendSignal(-jestPid, 'SIGKILL')
  return [...ended].map(([pid, command]) => `${pid} (${command})`)
}

/** Those that live, but for this process. */
export function processesOfRun(folder: string, jestPid: number | undefined): number[] {
  const marked = allPids().filter((pid) => procText(pid, 'environ').includes(`${RUN_FOLDER}=${folder}\0`))
  const all = [...marked, ...marked.flatMap(descendants), ...(jestPid ? descendants(jestPid) : [])]
  return [...new Set(all)].filter((pid) => pid !== process.pid && isAlive(pid))
}

/** Also when it was killed: then nobody passes a signal on. */
export function whenParentEnds(tell: () => void): void {
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    tell()
  }, LOOK_EVERY_MS)
  timer.unref()
}

/** For the process that plays the suites: run.ts ends everything, and where it was killed itself, nobody else would. */
export async function endWithRun(): Promise<void> {
  const folder = process.env[RUN_FOLDER]
  if (!folder) return
  whenParentEnds(() => {
    endRun(folder, undefined)
    process.exit(1)
  })
}
