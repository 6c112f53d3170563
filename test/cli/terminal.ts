// A shell command in a terminal of its own (a pty, from util-linux `script`): keys can be pressed, and it can be closed.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { eventually } from '../eventually.ts'

export interface Terminal {
  readonly pid: number
  /** All that was written to it. */
  text(): string
  says(pattern: RegExp): Promise<string>
  type(keys: string): void
  pressCtrlC(): void
  /** As when its window is closed: SIGHUP to what runs in it, and nobody reads any more. */
  close(): void
  readonly ended: Promise<void>
}

export function openTerminal(
  command: string,
  { cwd, env }: { cwd: string; env: NodeJS.ProcessEnv },
): Terminal {
  const script = spawn('script', ['-qfec', command, '/dev/null'], {
    cwd,
    env,
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let text = ''
  script.stdout.on('data', (chunk) => (text += chunk))
  script.stdin.on('error', () => {})
  return {
    pid: script.pid ?? 0,
    text: () => text,
    says: (pattern) =>
      eventually(() => (pattern.test(text) ? text : undefined), {
        what: `${pattern} in ${command}`,
        withinMs: 30_000,
      }).catch((error) => {
        throw new Error(`${error.message}; it says: ${text}`)
      }),
    type: (keys) => void script.stdin.write(keys),
    pressCtrlC: () => void script.stdin.write('\x03'),
    close: () => void script.kill('SIGKILL'),
    ended: once(script, 'exit').then(() => {}),
  }
}
