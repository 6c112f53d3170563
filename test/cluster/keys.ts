// The keys of a test cluster: one certificate that is its own authority, one key for service accounts, one token for its admin.
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { CLUSTER_ADDRESS } from './components.ts'
import { run } from './run.ts'

export interface Secrets {
  token: string
  certificate: string
}

export async function makeKeys(folder: string): Promise<Secrets> {
  const keys = join(folder, 'keys')
  mkdirSync(keys, { recursive: true, mode: 0o700 })
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const account = privateKey.export({ type: 'pkcs8', format: 'pem' })
  writeFileSync(join(keys, 'accounts.key'), account, { mode: 0o600 })
  writeFileSync(join(keys, 'accounts.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'localhost'].map(
    (name) => `DNS:${name}`,
  )
  const addresses = ['127.0.0.1', CLUSTER_ADDRESS, '10.96.0.1'].map((address) => `IP:${address}`)
  await run([
    ...['openssl', 'req', '-x509', '-nodes', '-days', '3650', '-subj', '/CN=millhand-test'],
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
    ...['-keyout', join(keys, 'api.key'), '-out', join(keys, 'api.crt')],
    ...['-addext', `subjectAltName=${[...names, ...addresses].join(',')}`],
  ])
  return { token: randomBytes(16).toString('hex'), certificate: readFileSync(join(keys, 'api.crt'), 'utf8') }
}
