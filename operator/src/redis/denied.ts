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
    const address = written.replace(/^::ffff:(?=\d+\.)/i, '')
    if (denied.check(address, isIPv6(address) ? 'ipv6' : 'ipv4'))
      return 'a link-local or metadata address, where no Redis is'
    if (servers.includes(`${address}:${port}`)) return 'the API server, which is no Redis'
  }
  return undefined
}
