// Where a Redis URL may not lead: whoever may write a Secret could otherwise have the operator speak to what only it can reach. Pure.
import { BlockList, isIPv6 } from 'node:net'

const denied = new BlockList()
denied.addSubnet('169.254.0.0', 16) // link-local; the metadata services of clouds
denied.addSubnet('fe80::', 10, 'ipv6')
denied.addAddress('fd00:ec2::254', 'ipv6')
denied.addAddress('100.100.100.200') // the metadata service of one cloud

/** What is wrong with these addresses, to go behind "leads to"; undefined when nothing is. `servers` are host:port. */
export function whyDenied(
  addresses: readonly string[],
  port: number,
  servers: readonly string[],
): string | undefined {
  for (const written of addresses) {
    const address = withoutMapping(written)
    if (denied.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'))
      return 'a link-local or metadata address, where no Redis is'
    if (servers.includes(`${address}:${port}`)) return 'the API server, which is no Redis'
  }
  return undefined
}

/** ::ffff:10.0.0.1 and ::ffff:a00:1 are 10.0.0.1. */
function withoutMapping(address: string): string {
  const rest = /^::ffff:(.+)$/i.exec(address)?.[1]
  if (!rest) return address
  if (rest.includes('.')) return rest
  const [high = 0, low = 0] = rest.split(':').map((part) => Number.parseInt(part, 16))
  return [high >> 8, high & 255, low >> 8, low & 255].join('.')
}
