// Starts a child as a fresh process, Node with our entry or any program (PROTOCOL.md): leader of a process
// group of its own, messages on descriptor 3.
import { type ChildProcess, spawn } from 'node:child_process'
import type { Duplex, Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { reasonOf } from '../../errors.ts'
import type { Birth, Failure } from '../child.ts'
import { isOurs } from '../orphans.ts'
import type { Ending } from '../outcome.ts'

export const RUNS_FROM_SOURCE = import.meta.url.endsWith('.ts')
const ENTRY = fileURLToPath(
  new URL(RUNS_FROM_SOURCE ? './spawn-entry.ts' : './spawn-entry.js', import.meta.url),
)
const V8_SHARE_OF_MEMORY = 0.8 // the rest of a process: code, buffers, stacks

export interface SpawnOptions {
  env: Record<string, string | undefined>
  maxMemoryBytes?: number | undefined
  /** The program of the child and its arguments. Absent: Millhand's entry in Node. */
  command?: readonly [string, ...string[]]
}

export async function spawnChild({ env, maxMemoryBytes, command }: SpawnOptions): Promise<Birth | Failure> {
  const [program, ...args] = command ?? [process.execPath, ...nodeOptions(maxMemoryBytes), ENTRY]
  let child: ChildProcess
  try {
    child = isOurs(
      spawn(program, args, {
        detached: true,
        stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
        env,
      }),
    )
  } catch (error) {
    return { failure: `cannot start a child process: ${reasonOf(error)}`, isAccident: true }
  }
  const ended = new Promise<Ending>((resolve) => {
    child.once('exit', (exitCode, signal) => resolve(signal ? { signal } : { exitCode: exitCode ?? 0 }))
  })
  const error = await new Promise<unknown>((resolve) => {
    child.once('spawn', () => resolve(undefined))
    child.on('error', resolve)
  })
  const { pid, stdout, stderr } = child
  const channel = child.stdio[3] as Duplex | null | undefined
  if (error !== undefined || pid === undefined || !stdout || !stderr || !channel) {
    for (const stream of [stdout, stderr, channel]) stream?.destroy()
    return { failure: `cannot start a child process: ${reasonOf(error)}`, isAccident: true }
  }
  return { pid, channel, outputs: outputsOf(stdout, stderr), ended }
}

export function nodeOptions(maxMemoryBytes: number | undefined): string[] {
  const megabytes =
    maxMemoryBytes && Math.max(16, Math.floor((maxMemoryBytes * V8_SHARE_OF_MEMORY) / 2 ** 20))
  return [
    ...(RUNS_FROM_SOURCE ? ['--conditions=millhand-source', '--disable-warning=ExperimentalWarning'] : []),
    ...(megabytes ? [`--max-old-space-size=${megabytes}`] : []),
  ]
}

function outputsOf(stdout: Readable, stderr: Readable): Birth['outputs'] {
  return [
    { stream: 'stdout', readable: stdout },
    { stream: 'stderr', readable: stderr },
  ]
}
