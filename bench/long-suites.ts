// npm run soak -- --cluster: jest plays the suites of test/operator/cluster that have a long form, and its output is streamed. soak.ts calls.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { clusterLeftOut, stopCluster } from '../test/cluster/cluster.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SUITES = ['shrinking', 'chaos'].map((name) => `test/operator/cluster/${name}.test.ts`)
const SCALE_INS = '200'
const NODE = [
  '--conditions=millhand-source',
  '--experimental-vm-modules',
  '--disable-warning=ExperimentalWarning',
]

/** Resolves to jest's exit code, 130 when it was interrupted, 2 when there is to be no cluster. Nothing of it is left then. */
export async function playLongSuites(minutes: number): Promise<number> {
  const leftOut = clusterLeftOut()
  if (leftOut) {
    console.error(`soak: ${leftOut}`)
    return 2
  }
  // Short: sockets lie below it.
  const folder = mkdtempSync(join(tmpdir(), 'soak-'))
  const jest = spawn(process.execPath, [...NODE, 'node_modules/jest/bin/jest.js', '--runInBand', ...SUITES], {
    cwd: ROOT,
    env: {
      ...process.env,
      TMPDIR: folder,
      MILLHAND_SCALE_INS: process.env.MILLHAND_SCALE_INS ?? SCALE_INS,
      MILLHAND_CHAOS_SECONDS: String(minutes * 60),
    },
    stdio: 'inherit',
    // A group of its own: it and what it started end together, whoever is told to stop.
    detached: true,
  })
  let isInterrupted = false
  const interrupt = () => {
    isInterrupted = true
    endGroup(jest.pid, 'SIGINT')
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt)
  const code = await new Promise<number | null>((resolve) => {
    jest.once('exit', resolve)
    jest.once('error', () => resolve(1))
  })
  endGroup(jest.pid, 'SIGKILL')
  for (const cluster of clustersIn(folder)) await stopCluster({ folder: cluster })
  rmSync(folder, { recursive: true, force: true })
  return isInterrupted ? 130 : (code ?? 1)
}

/** Where the suites put theirs: in a folder of the run, or in one below a suite's own. */
function clustersIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => [join(folder, name), join(folder, name, 'cluster')])
}

function endGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  try {
    if (pid !== undefined) process.kill(-pid, signal)
  } catch {
    // Nobody is left in it.
  }
}
