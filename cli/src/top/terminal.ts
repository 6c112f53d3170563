// The terminal while something draws in it: the alternate screen, keys as they are pressed, its size. However
// the process ends, the terminal is as it was before.
import { writeSync } from 'node:fs'
import type { ReadStream, WriteStream } from 'node:tty'
import { startGuard } from './guard.ts'
import { type Key, keysIn } from './keys.ts'

export interface Terminal {
  size(): { width: number; height: number }
  /**
   * In one piece: the terminal shows nothing of it before its end. False where it has not yet read what was
   * written before.
   */
  draw(text: string): boolean
  /** Ctrl-Z. */
  suspend(): void
  close(): void
}

export interface Listener {
  keys(keys: readonly Key[]): void
  /** What stood there is gone, or the size is another. */
  redraw(): void
  /** The terminal has read what was written. */
  drained(): void
}

export type OpenTerminal = (listener: Listener) => Promise<Terminal>

/** Alternate screen, no cursor, no wrapping. */
const ENTER = '\x1b[?1049h\x1b[?25l\x1b[?7l'
const LEAVE = '\x1b[?2026l\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l'
/** ESC alone is a key when nothing follows for so long. */
const ESC_MS = 50
const STOPPED_MS = 50
const STANDARD_OUTPUT = 1

export async function openTerminal(
  input: ReadStream,
  output: WriteStream,
  listener: Listener,
): Promise<Terminal> {
  const guard = await startGuard(LEAVE)
  let isOpen = false
  const enter = () => {
    // A shell may have changed the modes meanwhile, of which Node knows nothing.
    input.setRawMode(false).setRawMode(true)
    isOpen = true
    output.write(ENTER)
    listener.redraw()
  }
  const leave = () => {
    if (!isOpen) return
    isOpen = false
    restore(input)
  }
  const suspend = () => {
    leave()
    process.off('SIGTSTP', suspend)
    // The whole group, as the terminal itself does it; without a shell to go back to, the system ignores it.
    process.kill(0, 'SIGTSTP')
    setTimeout(() => {
      process.on('SIGTSTP', suspend)
      if (!isOpen) enter()
    }, STOPPED_MS)
  }
  // The guard would restore it once more, over what the process says at its end.
  const end = () => {
    leave()
    guard.dismiss()
  }
  const listened = listenTo(input, listener.keys)
  const events = { SIGTSTP: suspend, SIGCONT: enter, exit: end, uncaughtExceptionMonitor: end }
  for (const [name, listen] of Object.entries(events)) process.on(name, listen)
  output.on('resize', listener.redraw).on('drain', listener.drained)
  enter()
  return {
    size: () => ({ width: output.columns || 80, height: output.rows || 24 }),
    draw(text) {
      if (!isOpen) return true
      if (output.writableNeedDrain) return false
      output.write(`\x1b[?2026h${text}\x1b[?2026l`)
      return true
    },
    suspend,
    close() {
      for (const [name, listen] of Object.entries(events)) process.off(name, listen)
      output.off('resize', listener.redraw).off('drain', listener.drained)
      listened.end()
      end()
    },
  }
}

function listenTo(input: ReadStream, say: (keys: readonly Key[]) => void): { end(): void } {
  let rest = ''
  let timer: NodeJS.Timeout | undefined
  const flush = () => {
    rest = ''
    say(['esc'])
  }
  const onData = (text: string) => {
    clearTimeout(timer)
    const found = keysIn(rest + text)
    rest = found.rest
    if (rest !== '') timer = setTimeout(flush, ESC_MS)
    if (found.keys.length > 0) say(found.keys)
  }
  input
    .setEncoding('utf8')
    .on('data', onData)
    .on('error', () => {})
    .resume()
  return {
    end() {
      clearTimeout(timer)
      input.off('data', onData).pause()
    },
  }
}

/** At once: the process may end right behind it. */
function restore(input: ReadStream): void {
  try {
    writeSync(STANDARD_OUTPUT, LEAVE)
    input.setRawMode(false)
  } catch {
    // The terminal is closed.
  }
}
