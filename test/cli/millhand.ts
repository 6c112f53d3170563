// Runs the real millhand command, as a shell would. Used by the tests of the CLI.
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { eventually } from '../eventually.ts'

export const MILLHAND = fileURLToPath(new URL('../../cli/bin/millhand.js', import.meta.url))
export const TINY_TASKS = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))
/** For tests that start several processes, one after the other. */
export const PATIENCE_MS = 60_000

export interface Ran {
  code: number | null
  stdout: string
  stderr: string
}

export interface RunOptions {
  env?: Record<string, string | undefined>
  cwd?: string
  input?: string
}

export async function millhand(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const running = startMillhand(args, options)
  running.process.stdin?.end(options.input ?? '')
  return running.ended
}

export interface Running {
  process: ChildProcess
  ended: Promise<Ran>
  stdout(): string
  stderr(): string
  /** Resolves with the output up to now when it matches. */
  says(pattern: RegExp): Promise<string>
}

export function startMillhand(args: readonly string[], { env = {}, cwd }: RunOptions = {}): Running {
  const child = spawn(process.execPath, [MILLHAND, ...args], {
    cwd,
    env: { ...withoutOurs(process.env), ...env },
    stdio: 'pipe',
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => {
    stdout += chunk
  })
  child.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  // Whoever reads nothing may be gone before everything is written.
  child.stdin.on('error', () => {})
  const ended = new Promise<Ran>((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })))
  const said = () => stdout + stderr
  return {
    process: child,
    ended,
    stdout: () => stdout,
    stderr: () => stderr,
    async says(pattern) {
      const look = () => (pattern.test(said()) ? said() : undefined)
      return eventually(look, { what: `${pattern} in ${args[0]}`, withinMs: 30_000 })
    },
  }
}

/**
 * Asks, and asks again until it has ended: signals that come at once count as one. Not often: a signal that
 * comes when Node has taken its handlers down ends the process without its exit code.
 */
export async function stopAtOnce({ process: child, ended }: Running): Promise<void> {
  child.kill('SIGTERM')
  const again = setInterval(() => child.kill('SIGTERM'), 1_500)
  await ended
  clearInterval(again)
}

/** A namespace that no other test uses. */
export const ownNamespace = (): string => `cli-${randomBytes(4).toString('hex')}`

function withoutOurs(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(
    ([name]) => !/^(MILLHAND_|NO_COLOR|FORCE_COLOR|NODE_OPTIONS)/.test(name),
  )
  return Object.fromEntries(kept)
}
