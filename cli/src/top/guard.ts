// A shell that waits for the end of millhand top. When top is killed (kill -9), it leaves the terminal as it
// was.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as after } from 'node:timers/promises'

const PATIENCE_MS = 1_000

/**
 * `read` fails when the other end of the pipe closes without a line. A shell with job control restores the
 * modes of its terminal itself, and has taken it back by then: stty fails, as it should.
 */
const SCRIPT = `trap '' INT TERM; modes=$(stty -g </dev/tty 2>/dev/null); echo ready
read -r ended || { printf '%b' "$1" >/dev/tty; stty "$modes" </dev/tty; } 2>/dev/null`

export interface Guard {
  /** top has left the terminal as it was. */
  dismiss(): void
}

/** Resolves when it has seen the modes of the terminal. Where there is no shell, nobody guards. */
export async function startGuard(leaving: string): Promise<Guard> {
  const escaped = leaving.replaceAll('\x1b', '\\033')
  const shell = spawn('sh', ['-c', SCRIPT, 'millhand-top-guard', escaped], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  shell.on('error', () => {})
  shell.stdin.on('error', () => {})
  await Promise.race([ready(shell), after(PATIENCE_MS, undefined, { ref: false })])
  shell.unref()
  return { dismiss: () => void shell.stdin.end('ended\n') }
}

async function ready(shell: ChildProcess): Promise<void> {
  await Promise.race([shell.stdout && once(shell.stdout, 'data'), once(shell, 'exit')]).catch(() => {})
}
