// Addresses that no Redis URL may point to. Without them, who may write a Secret could make the operator
// connect to what only it can reach. Pure.
import { BlockList, isIP, isIPv6 } from 'node:net'

/** Link-local addresses and metadata services of clouds. No setting allows them. */
const METADATA = blockListOf([
  '169.254.0.0/16',
  'fe80::/10',
  'fd00:ec2::254',
  'fd20:ce::254',
  '100.100.100.200',
  '168.63.129.16',
])
/** The operator's own pod, and addresses that no server has. */
const OWN = blockListOf([
  '127.0.0.0/8',
  '::1',
  '0.0.0.0/8',
  '::',
  '224.0.0.0/4',
  'ff00::/8',
  '255.255.255.255',
])

export interface Denials {
  /** host:port of the API server. */
  servers: readonly string[]
  /** Allowed CIDRs, loopback too where it is listed. Empty: all but the denied addresses. */
  networks?: readonly string[]
}

export type IsDenied = (address: string, port: number) => string | undefined

/** What a denied address is, to follow "points to"; undefined for an allowed one. */
export function denying({ servers, networks = [] }: Denials): IsDenied {
  const allowed = networks.length > 0 ? blockListOf(networks) : undefined
  const has = (list: BlockList, address: string) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
  const known = new Set(servers.map(plainServer))
  return (written, port) => {
    const address = plainAddress(written)
    if (isIP(address) === 0) return 'no address'
    if (has(METADATA, address)) return 'a link-local or metadata address'
    if (known.has(`${address}:${port}`)) return 'the API server'
    if (allowed && !has(allowed, address)) return 'a network that is not in redis.networks of the chart'
    if (!allowed && has(OWN, address)) return 'a loopback or broadcast address'
    return undefined
  }
}

function plainServer(server: string): string {
  const colon = server.lastIndexOf(':')
  return `${plainAddress(server.slice(0, colon).replace(/^\[|\]$/g, ''))}:${server.slice(colon + 1)}`
}

/** 10.0.0.0/8, fd00::/8, or one address. Throws TypeError. */
export function blockListOf(networks: readonly string[]): BlockList {
  const list = new BlockList()
  for (const network of networks) {
    const [address = '', bits, ...more] = network.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    const most = family === 'ipv6' ? 128 : 32
    const isNumber = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= most)
    if (isIP(address) === 0 || !isNumber || more.length > 0)
      throw new TypeError(`invalid network ${JSON.stringify(network)}: write it like 10.0.0.0/8`)
    list.addSubnet(address, bits === undefined ? most : Number(bits), family)
  }
  return list
}

/** IPv6 forms of IPv4 addresses: mapped, compatible, NAT64 (RFC 6052, RFC 8215), 6to4. */
const MAPPED = [
  /^(?:0{1,4}:){5}ffff:([0-9a-f]{4}):([0-9a-f]{4})$/,
  /^(?:0{1,4}:){6}([0-9a-f]{4}):([0-9a-f]{4})$/,
  /^0064:ff9b:(?:0{1,4}:){4}([0-9a-f]{4}):([0-9a-f]{4})$/,
  /^0064:ff9b:0001:(?:[0-9a-f]{4}:){3}([0-9a-f]{4}):([0-9a-f]{4})$/,
  /^2002:([0-9a-f]{4}):([0-9a-f]{4}):/,
]

/**
 * ::ffff:10.0.0.1, ::ffff:a00:1 and 64:ff9b::10.0.0.1 are 10.0.0.1; other IPv6 addresses in their longest
 * form.
 */
function plainAddress(written: string): string {
  const address = written.replace(/%.*$/, '')
  if (!isIPv6(address)) return address
  const whole = wholeOf(address)
  const [, high, low] = MAPPED.map((form) => form.exec(whole)).find(Boolean) ?? []
  // :: and ::1 are none of these.
  if (!high || !low || whole.startsWith('0000:'.repeat(7))) return whole
  const bytes = [high.slice(0, 2), high.slice(2), low.slice(0, 2), low.slice(2)]
  return bytes.map((byte) => Number.parseInt(byte, 16)).join('.')
}

/** Eight groups of four digits. */
function wholeOf(address: string): string {
  const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address)
  const [, before = '', ...bytes] = dotted ?? []
  const hex = (at: number) => Number(bytes[at]).toString(16).padStart(2, '0')
  const plain = dotted ? `${before}${hex(0)}${hex(1)}:${hex(2)}${hex(3)}` : address
  const [left = '', right] = plain.toLowerCase().split('::')
  const groups = (text: string) => (text === '' ? [] : text.split(':'))
  const [first, last] = [groups(left), groups(right ?? '')]
  const missing = right === undefined ? 0 : 8 - first.length - last.length
  return [...first, ...Array(missing).fill('0'), ...last].map((group) => group.padStart(4, '0')).join(':')
}
