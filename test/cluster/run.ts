// Runs one command to its end, for everything in test/cluster that calls another program.
import { spawn } from 'node:child_process'
import { once } from 'node:events'

export interface RunOptions {
  stdin?: string
  env?: NodeJS.ProcessEnv
  folder?: string
  timeoutMs?: number
  signal?: AbortSignal | undefined
  /** Called with each line of standard error as it comes, for progress. */
  onLine?: (line: string) => void
}

/** Its standard output. Fails with the last lines of its standard error when it cannot be run or does not end with 0. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    stdio: [options.stdin === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    env: options.env ?? process.env,
    cwd: options.folder,
    timeout: options.timeoutMs,
    signal: options.signal,
    killSignal: 'SIGKILL',
  })
  child.stdin?.on('error', () => {}).end(options.stdin)
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-16_384)
    if (options.onLine) for (const line of text.split('\n')) if (line.trim()) options.onLine(line)
  })
  const [code, killedBy] = await once(child, 'close').catch((cause) => {
    options.signal?.throwIfAborted()
    throw new Error(`cannot run ${program}: ${cause.message}`, { cause })
  })
  if (code === 0) return stdout
  const end = killedBy ? `was ended by ${killedBy}` : `ended with ${code}`
  throw new Error(`${command.slice(0, 6).join(' ')} ${end}: ${lastLines(stderr || stdout)}`)
}

export const lastLines = (text: string, count = 8) => text.trim().split('\n').slice(-count).join('\n')

/** Where a program lies on the PATH, or in the folders of system programs that are not on everybody's PATH. */
export async function findProgram(name: string): Promise<string | undefined> {
  const { access, constants } = await import('node:fs/promises')
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/local/go/bin']
  for (const folder of folders.filter(Boolean)) {
    const path = `${folder}/${name}`
    if (await access(path, constants.X_OK).then(...asBoolean)) return path
  }
  return undefined
}

export const asBoolean = [() => true, () => false] as const
