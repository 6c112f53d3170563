// Standard output or standard error. Its reader may end first (`| head`, a tee that Ctrl-C ended, a closed
// terminal), stop reading, or be a full disk: none of this ends the process. Used by main.ts.
import { setTimeout as after } from 'node:timers/promises'

export interface Outlet {
  /** Buffers the text until it is read. */
  print(text: string): void
  /** For an endless log. False: the text was dropped, because its reader is too slow. */
  offer(text: string): boolean
  /** Resolves when all printed text is written or has failed. Offered text gets half a second. */
  written(): Promise<void>
  /** Why printed text was not written. Absent where the reader ended: that is no failure. */
  readonly failure: string | undefined
}

const MOST_UNREAD_BYTES = 1024 * 1024
const MOMENT_MS = 500

export function openOutlet(stream: NodeJS.WriteStream): Outlet {
  let isKept = false
  let failure: string | undefined
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') failure = error.message
  })
  return {
    print(text) {
      isKept = true
      stream.write(text)
    },
    offer(text) {
      if (stream.writableLength > MOST_UNREAD_BYTES) return false
      stream.write(text)
      return true
    },
    async written() {
      const written = new Promise<void>((resolve) => stream.write('', () => resolve()))
      await (isKept ? written : Promise.race([written, after(MOMENT_MS)]))
    },
    get failure() {
      return isKept ? failure : undefined
    },
  }
}
