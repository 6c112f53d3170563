// A shell in a real terminal that can be resized and looked at: tmux, which Debian has.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { installPackages } from '../cluster/needs.ts'
import { findProgram } from '../cluster/run.ts'
import { eventually } from '../eventually.ts'

const run = promisify(execFile)

export interface Pane {
  /** What a person sees; with escapes, as colours. */
  screen(withStyles?: 'with styles'): Promise<string>
  shows(pattern: RegExp): Promise<string>
  /** Names of tmux: Enter, Escape, C-c, PageDown. */
  press(...keys: string[]): Promise<void>
  /** In one piece, as when it is pasted. */
  type(text: string): Promise<void>
  resize(width: number, height: number): Promise<void>
  /** A variable of tmux, like alternate_on. */
  is(variable: string): Promise<string>
  close(): Promise<void>
}

export async function openShell(env: NodeJS.ProcessEnv): Promise<Pane> {
  if (!(await findProgram('tmux'))) await installPackages(['tmux'])
  const folder = mkdtempSync(join(tmpdir(), 'millhand-tmux-'))
  const socket = join(folder, 'socket')
  const tmux = async (...args: string[]) =>
    (await run('tmux', ['-u', '-S', socket, '-f', '/dev/null', ...args], { env })).stdout
  await tmux('new-session', '-d', '-x', '80', '-y', '24', "PS1='$ ' exec bash --norc --noprofile")
  await tmux('set', '-g', 'escape-time', '0')
  const screen = (withStyles?: string) => tmux('capture-pane', '-p', ...(withStyles ? ['-e'] : []))
  return {
    screen,
    async shows(pattern) {
      const look = async () => {
        const seen = await screen()
        return pattern.test(seen) ? seen : undefined
      }
      return eventually(look, { what: `${pattern}`, withinMs: 20_000, everyMs: 60 }).catch(async (error) => {
        throw new Error(`${error.message}; the screen:\n${await screen()}`)
      })
    },
    press: async (...keys) => void (await tmux('send-keys', ...keys)),
    type: async (text) => void (await tmux('send-keys', '-l', text)),
    resize: async (width, height) =>
      void (await tmux('resize-window', '-x', String(width), '-y', String(height))),
    is: async (variable) => (await tmux('display-message', '-p', `#{${variable}}`)).trim(),
    async close() {
      await tmux('kill-server').catch(() => {})
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
