// The certificate that the metrics are served with: of a mounted Secret, which the kubelet renews, or one
// that the operator signs itself.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type KeyPair, selfSigned } from './self-signed.ts'

export interface CertificateSource {
  /** The one to use from now on. */
  read(): Promise<KeyPair>
  renewEveryMs?: number
}

/** Nobody can verify it by the name: what it gives is encryption. */
const NAME = 'millhand-operator'
const DAY_MS = 86_400_000
const LIFETIME_MS = 90 * DAY_MS
/** A third of its lifetime is left for whoever has not seen the new one. */
const RENEWED_AFTER_MS = 60 * DAY_MS

/** tls.crt and tls.key, as a Secret of the type kubernetes.io/tls has them. */
export function certificateIn(folder: string): CertificateSource {
  const read = (file: string) => readFile(join(folder, file), 'utf8')
  return {
    read: async () => {
      const [cert, key] = await Promise.all([read('tls.crt'), read('tls.key')])
      return { cert, key }
    },
  }
}

/** Of this process alone: another replica has its own. */
export function ownCertificate(wallMs: () => number): CertificateSource {
  let made: { pair: KeyPair; atMs: number } | undefined
  return {
    read: async () => {
      const nowMs = wallMs()
      if (!made || nowMs >= made.atMs + RENEWED_AFTER_MS)
        made = { pair: selfSigned(NAME, { fromMs: nowMs, lifetimeMs: LIFETIME_MS }), atMs: nowMs }
      return made.pair
    },
  }
}
