// Certificates that the operator signs itself are what OpenSSL takes for one, and are renewed before they end.
import { execFileSync } from 'node:child_process'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { ownCertificate } from '../../../operator/src/http/certificates.ts'
import { selfSigned } from '../../../operator/src/http/self-signed.ts'

const DAY_MS = 86_400_000

test.each([
  ['now', Date.UTC(2026, 10, 29, 12)],
  ['with a year of four digits', Date.UTC(2055, 0, 1)],
  ['over the turn to them', Date.UTC(2049, 11, 1)],
])('one is valid from an hour before, for as long as was asked, %s', (_, fromMs) => {
  const { cert, key } = selfSigned('metrics.example', { fromMs, lifetimeMs: 90 * DAY_MS })
  const certificate = new X509Certificate(cert)
  expect(certificate.verify(certificate.publicKey)).toBe(true)
  expect(certificate.publicKey.equals(createPublicKey(key))).toBe(true)
  expect(certificate.checkHost('metrics.example')).toBe('metrics.example')
  expect(certificate.checkHost('other.example')).toBeUndefined()
  expect(Date.parse(certificate.validFrom)).toBe(fromMs - 3_600_000)
  expect(Date.parse(certificate.validTo)).toBe(fromMs + 90 * DAY_MS)
})

test('OpenSSL verifies it, and two have different keys and serial numbers', () => {
  const [one, two] = [1, 2].map(() =>
    selfSigned('metrics.example', { fromMs: Date.now(), lifetimeMs: DAY_MS }),
  )
  const text = execFileSync('openssl', ['x509', '-noout', '-text'], { input: one?.cert, encoding: 'utf8' })
  expect(text).toMatch(/Version: 3/)
  expect(text).toContain('DNS:metrics.example')
  expect(new X509Certificate(one?.cert ?? '').serialNumber).not.toBe(
    new X509Certificate(two?.cert ?? '').serialNumber,
  )
  expect(one?.key).not.toBe(two?.key)
})

test('the operator renews its own when a third of the lifetime is left', async () => {
  let nowMs = Date.UTC(2026, 10, 29)
  const certificates = ownCertificate(() => nowMs)
  const first = await certificates.read()
  nowMs += 60 * DAY_MS - 1
  expect(await certificates.read()).toBe(first)
  nowMs += 1
  const second = await certificates.read()
  expect(second.cert).not.toBe(first.cert)
  expect(new X509Certificate(second.cert).validToDate.getTime()).toBe(nowMs + 90 * DAY_MS)
})
