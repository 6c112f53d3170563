// Access for `up`: the person at this machine, by the address that is printed.
import { randomBytes } from 'node:crypto'
import type { Log } from 'millhand/queue'
import type { Access } from './access.ts'
import { localAuthority } from './authorities.ts'
import { Gate } from './gate.ts'

export interface LocalOptions {
  isReadOnly?: boolean
  log: Log
  nowMs: () => number
  wallMs: () => number
}

/**
 * `token` ends the address to print: http://127.0.0.1:PORT/?token=TOKEN. It is good while the process lives.
 */
export function localAccess(options: LocalOptions): { access: Access; token: string } {
  const token = randomBytes(32).toString('base64url')
  const hosts = { names: [], anyAddress: false, remedy: 'open localhost or 127.0.0.1' }
  return { access: new Gate({ ...options, authority: localAuthority(token), hosts }), token }
}
