// From a Secret to an address: what is read, what is refused, and in which words.

import { whyDenied } from '../../../operator/src/redis/denied.ts'
import { type Address, Secrets } from '../../../operator/src/redis/secrets.ts'

const place = { namespace: 'shop', secretName: 'millhand-redis' }

function secretsOf(data: Record<string, string> | undefined, reads: string[] = []) {
  const clock = { nowMs: 0 }
  const secrets = new Secrets({
    readSecret: async (namespace, name) => {
      reads.push(`${namespace}/${name}`)
      return data
    },
    secretNames: ['millhand-redis'],
    deniedServers: ['10.96.0.1:443'],
    nowMs: () => clock.nowMs,
  })
  return { secrets, clock, reads }
}

test.each<[string, Record<string, string> | undefined, string]>([
  ['there is none', undefined, 'RedisSecretMissing'],
  ['it has no url', { host: 'redis' }, 'RedisSecretInvalid'],
  ['the url is of another kind', { url: 'http://127.0.0.1' }, 'RedisSecretInvalid'],
  ['the url leads to a socket', { url: 'redis://127.0.0.1?path=/run/any.sock' }, 'RedisSecretInvalid'],
  ['the password has a bare %', { url: 'redis://user:50%off@127.0.0.1' }, 'RedisSecretInvalid'],
  ['it leads to a metadata service', { url: 'redis://169.254.169.254' }, 'RedisAddressDenied'],
  ['it leads to the API server', { url: 'redis://10.96.0.1:443' }, 'RedisAddressDenied'],
  ['it leads there by another spelling', { url: 'redis://[::ffff:10.96.0.1]:443' }, 'RedisAddressDenied'],
  ['its host has no address', { url: 'redis://no-such-host.invalid' }, 'RedisUnreachable'],
])('a Secret is refused when %s', async (_what, data, reason) => {
  const address = await secretsOf(data).secrets.addressOf(place)
  expect(address).toMatchObject({ kind: 'problem', reason })
  expect((address as Exclude<Address, { kind: 'address' }>).message).not.toMatch(/50%off|169\.254/)
})

test('a Secret with another name is not even read', async () => {
  const { secrets, reads } = secretsOf({ url: 'redis://127.0.0.1' })
  expect(await secrets.addressOf({ ...place, secretName: 'payroll' })).toMatchObject({
    reason: 'SecretNotAllowed',
  })
  expect(reads).toEqual([])
})

test('a good one is read again after a while, a bad one soon, and a refused one the next time', async () => {
  const good = secretsOf({ url: 'redis://127.0.0.1:6379' })
  const ask = () => good.secrets.addressOf(place)
  expect(await ask()).toEqual({ kind: 'address', access: { url: 'redis://127.0.0.1:6379' } })
  good.clock.nowMs = 599_000
  await ask()
  expect(good.reads.length).toBe(1)
  good.secrets.forget(place)
  await ask()
  expect(good.reads.length).toBe(2)
  good.clock.nowMs += 600_001
  await ask()
  expect(good.reads.length).toBe(3)

  const bad = secretsOf(undefined)
  await bad.secrets.addressOf(place)
  bad.clock.nowMs = 5_001
  await bad.secrets.addressOf(place)
  expect(bad.reads.length).toBe(2)
})

test.each([
  ['169.254.1.1', true],
  ['fe80::1', true],
  ['fd00:ec2::254', true],
  ['10.0.0.7', false],
  ['127.0.0.1', false],
  ['2001:db8::7', false],
])('%s is denied: %s', (address, isDenied) => {
  expect(whyDenied([address], 6379, []) !== undefined).toBe(isDenied)
})
