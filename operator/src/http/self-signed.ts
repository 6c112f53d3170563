// A certificate that its own key signs, as X.509 version 3 in DER (RFC 5280): Node reads certificates and
// makes none, and the image has no openssl.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto'

export interface KeyPair {
  /** Both in PEM. */
  cert: string
  key: string
}

export interface Validity {
  fromMs: number
  lifetimeMs: number
}

/** Clocks of others may be behind. */
const EARLIER_MS = 3_600_000

const INTEGER = 0x02
const BIT_STRING = 0x03
const OCTET_STRING = 0x04
const OBJECT_IDENTIFIER = 0x06
const UTF8_STRING = 0x0c
const UTC_TIME = 0x17
const GENERALIZED_TIME = 0x18
const SEQUENCE = 0x30
const SET = 0x31
/** Context-specific tags of a certificate and of a name. */
const VERSION = 0xa0
const EXTENSIONS = 0xa3
const DNS_NAME = 0x82

const ECDSA_WITH_SHA256 = '2a8648ce3d040302'
const COMMON_NAME = '550403'
const SUBJECT_ALTERNATIVE_NAME = '551d11'

/** For one DNS name, with a new key on the curve P-256. */
export function selfSigned(name: string, validity: Validity): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const body = bodyOf(name, validity, publicKey.export({ type: 'spki', format: 'der' }))
  const signature = sign('sha256', body, privateKey)
  const certificate = der(SEQUENCE, body, algorithm(), der(BIT_STRING, Buffer.of(0), signature))
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? []
  const cert = ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----', ''].join('\n')
  return { cert, key: String(privateKey.export({ type: 'pkcs8', format: 'pem' })) }
}

/** TBSCertificate: what is signed. */
function bodyOf(name: string, { fromMs, lifetimeMs }: Validity, publicKey: Buffer): Buffer {
  const commonName = der(SEQUENCE, identifier(COMMON_NAME), der(UTF8_STRING, Buffer.from(name)))
  const subject = der(SEQUENCE, der(SET, commonName))
  const alternatives = der(SEQUENCE, der(DNS_NAME, Buffer.from(name)))
  const extension = der(SEQUENCE, identifier(SUBJECT_ALTERNATIVE_NAME), der(OCTET_STRING, alternatives))
  return der(
    SEQUENCE,
    der(VERSION, der(INTEGER, Buffer.of(2))),
    der(INTEGER, serial()),
    algorithm(),
    subject,
    der(SEQUENCE, time(fromMs - EARLIER_MS), time(fromMs + lifetimeMs)),
    subject,
    publicKey,
    der(EXTENSIONS, der(SEQUENCE, extension)),
  )
}

/** Positive, and without a leading zero. */
function serial(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = (bytes.readUInt8(0) & 0x3f) | 0x40
  return bytes
}

const algorithm = () => der(SEQUENCE, identifier(ECDSA_WITH_SHA256))
const identifier = (hex: string) => der(OBJECT_IDENTIFIER, Buffer.from(hex, 'hex'))

/** A year of two digits before 2050, of four from then on. */
function time(atMs: number): Buffer {
  const text = `${new Date(atMs).toISOString().replaceAll(/[-:T]|\.\d+/g, '')}`
  return Number(text.slice(0, 4)) < 2050
    ? der(UTC_TIME, Buffer.from(text.slice(2)))
    : der(GENERALIZED_TIME, Buffer.from(text))
}

function der(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.of(tag), lengthOf(content.length), content])
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length)
  if (length < 0x100) return Buffer.of(0x81, length)
  return Buffer.of(0x82, length >> 8, length & 0xff)
}
