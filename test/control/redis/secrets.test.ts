// From a Secret to an address: what is read, what is refused, and in which words.

import { blockListOf, denying } from '../../../control/src/redis/denied.ts'
import { LookUpTimeout, Lookups } from '../../../control/src/redis/lookups.ts'
import type { Address } from '../../../control/src/redis/reach.ts'
import { Secrets, SecretUnreadable } from '../../../control/src/redis/secrets.ts'
import { eventually } from '../../eventually.ts'

const place = { namespace: 'shop', secretName: 'millhand-redis' }

function secretsOf(data: Record<string, string> | undefined, reads: string[] = [], lookups = new Lookups()) {
  const clock = { nowMs: 0 }
  const secrets = new Secrets({
    readSecret: async (namespace, name) => {
      reads.push(`${namespace}/${name}`)
      return data
    },
    secretNames: ['millhand-redis'],
    denials: { servers: ['10.96.0.1:443', '[fd00::1]:443'] },
    lookups,
    nowMs: () => clock.nowMs,
  })
  return { secrets, clock, reads }
}

test.each<[string, Record<string, string> | undefined, string]>([
  ['there is none', undefined, 'RedisSecretMissing'],
  ['it has no url', { host: 'redis' }, 'RedisSecretInvalid'],
  ['the url is of another kind', { url: 'http://127.0.0.1' }, 'RedisSecretInvalid'],
  ['its authority is none', { url: 'rediss://10.0.0.7', 'ca.crt': 'junk' }, 'RedisSecretInvalid'],
  [
    'its client certificate is none',
    { url: 'rediss://10.0.0.7', 'tls.crt': 'x', 'tls.key': 'y' },
    'RedisSecretInvalid',
  ],
  ['the url leads to a socket', { url: 'redis://127.0.0.1?path=/run/any.sock' }, 'RedisSecretInvalid'],
  ['the password has a bare %', { url: 'redis://user:50%off@127.0.0.1' }, 'RedisSecretInvalid'],
  ['it leads to a metadata service', { url: 'redis://169.254.169.254' }, 'RedisAddressDenied'],
  ['it leads to the API server', { url: 'redis://10.96.0.1:443' }, 'RedisAddressDenied'],
  ['it leads to the operator itself', { url: 'redis://127.0.0.1' }, 'RedisAddressDenied'],
  ['a name leads to the operator itself', { url: 'redis://localhost' }, 'RedisAddressDenied'],
  ['a number leads to the operator itself', { url: 'redis://2130706433' }, 'RedisAddressDenied'],
  ['one of its hosts is denied', { url: 'redis+cluster://10.0.0.1,169.254.169.254' }, 'RedisAddressDenied'],
  [
    'it names more hosts than anybody has',
    { url: `redis+cluster://${Array(17).fill('a').join()}` },
    'RedisSecretInvalid',
  ],
  ['it leads there by another spelling', { url: 'redis://[::ffff:10.96.0.1]:443' }, 'RedisAddressDenied'],
  ['its host has no address', { url: 'redis://no-such-host.invalid' }, 'RedisUnreachable'],
])('a Secret is refused when %s', async (_what, data, reason) => {
  const address = await secretsOf(data).secrets.addressOf(place)
  expect(address).toMatchObject({ kind: 'problem', reason })
  expect((address as Exclude<Address, { kind: 'address' }>).message).not.toMatch(/50%off|169\.254/)
})

test('a Secret with another name is not even read', async () => {
  const { secrets, reads } = secretsOf({ url: 'redis://10.0.0.7' })
  expect(await secrets.addressOf({ ...place, secretName: 'payroll' })).toMatchObject({
    reason: 'SecretNotAllowed',
  })
  expect(reads).toEqual([])
})

test('a good one is read again after a while, a bad one soon, and a refused one no later than that', async () => {
  const good = secretsOf({ url: 'redis://10.0.0.7:6379' })
  const ask = () => good.secrets.addressOf(place)
  expect(await ask()).toEqual({ kind: 'address', access: { url: 'redis://10.0.0.7:6379' } })
  good.clock.nowMs = 599_000
  await ask()
  expect(good.reads.length).toBe(1)
  good.secrets.forget(place)
  await ask()
  expect(good.reads.length).toBe(2)
  // Of each of many queues Redis refuses the same.
  for (let times = 0; times < 50; times++) {
    good.secrets.forget(place)
    await ask()
  }
  expect(good.reads.length).toBe(2)
  good.clock.nowMs += 5_001
  await ask()
  expect(good.reads.length).toBe(3)
  good.clock.nowMs += 599_000
  await ask()
  expect(good.reads.length).toBe(3)
  good.clock.nowMs += 1_001
  await ask()
  expect(good.reads.length).toBe(4)

  const bad = secretsOf(undefined)
  await bad.secrets.addressOf(place)
  bad.clock.nowMs = 5_001
  await bad.secrets.addressOf(place)
  expect(bad.reads.length).toBe(2)
})

test.each([
  ...[
    '169.254.1.1',
    '169.254.169.254',
    'fe80::1',
    'fe80::1%eth0',
    'fd00:ec2::254',
    '100.100.100.200',
    '168.63.129.16',
  ],
  ...['127.0.0.1', '127.8.9.1', '::1', '0.0.0.0', '::', '224.0.0.1', '255.255.255.255', 'no address'],
  ...['::ffff:169.254.169.254', '::ffff:a9fe:a9fe', '::FFFF:A9FE:A9FE', '0:0:0:0:0:ffff:127.0.0.1'],
  ...['::127.0.0.1', '64:ff9b::169.254.169.254', '64:ff9b::7f00:1', '64:ff9b:1::7f00:1', '2002:7f00:1::'],
])('no Redis is at %s', (address) => {
  expect(denying({ servers: [] })(address, 6379)).toBeDefined()
})

test.each([
  '10.0.0.7',
  '192.168.1.1',
  '2001:db8::7',
  'fd00::7',
  '::ffff:10.0.0.7',
  '64:ff9b::10.0.0.7',
  '34.1.2.3',
])('a Redis may be at %s', (address) => {
  expect(denying({ servers: [] })(address, 6379)).toBeUndefined()
})

test('the API server is denied in each spelling, and what else is at its address is not', () => {
  const why = denying({ servers: ['10.96.0.1:443', '[fd00:0::1]:443'] })
  for (const address of ['10.96.0.1', '::ffff:10.96.0.1', '64:ff9b::a60:1', 'fd00::1']) {
    expect([address, why(address, 443)]).toEqual([address, expect.stringContaining('API server')])
    expect(why(address, 6379)).toBeUndefined()
  }
})

test('where networks are listed a Redis is in one of them, loopback only where it is listed, metadata services never', () => {
  const why = denying({ servers: [], networks: ['10.0.0.0/8', 'fd00::/8'] })
  expect([why('10.1.2.3', 6379), why('fd00::7', 6379)]).toEqual([undefined, undefined])
  expect(why('192.168.1.1', 6379)).toContain('redis.networks')
  expect(why('127.0.0.1', 6379)).toContain('redis.networks')
  expect(why('fd00:ec2::254', 6379)).toContain('metadata')
  expect(denying({ servers: [], networks: ['0.0.0.0/0'] })('169.254.1.1', 6379)).toContain('link-local')
  expect(denying({ servers: [], networks: ['127.0.0.0/8'] })('127.0.0.1', 6379)).toBeUndefined()
  for (const wrong of ['10.0.0.0/33', '10.0.0/8', 'localhost', '::/129', '10.0.0.0/8/8', ''])
    expect(() => blockListOf([wrong])).toThrow('invalid network')
})

test('who asks for one Secret at once shares one read of it', async () => {
  const { secrets, reads } = secretsOf({ url: 'redis://10.0.0.7' })
  const asked = await Promise.all(Array.from({ length: 50 }, () => secrets.addressOf(place)))
  expect(reads.length).toBe(1)
  expect(new Set(asked).size).toBe(1)
})

describe('a Secret that the API server does not give', () => {
  const failing = (isDenied: boolean, message: string) => {
    const unread = new SecretUnreadable(message, { isDenied, cause: undefined })
    const answers: (Record<string, string> | SecretUnreadable)[] = [unread]
    const clock = { nowMs: 0 }
    const secrets = new Secrets({
      readSecret: async () => {
        const [answer = {}] = answers
        if (answer instanceof SecretUnreadable) throw answer
        return answer
      },
      secretNames: ['millhand-redis'],
      denials: { servers: [] },
      nowMs: () => clock.nowMs,
    })
    return { secrets, answers, clock }
  }

  test.each([
    ['for want of a right', true, 'SecretNotAllowed'],
    ['for now', false, 'RedisUnreachable'],
  ])('%s is a condition in its words', async (_when, isDenied, reason) => {
    const message = 'as the API server says it'
    const address = await failing(isDenied, message).secrets.addressOf(place)
    expect(address).toMatchObject({ kind: 'problem', reason, message: expect.stringContaining(message) })
  })

  test('is what it was before, where only the reading fails', async () => {
    const { secrets, answers, clock } = failing(false, 'as the API server says it')
    expect(await secrets.addressOf(place)).toMatchObject({ kind: 'problem', reason: 'RedisUnreachable' })
    answers.unshift({ url: 'redis://10.0.0.7' })
    clock.nowMs += 5_001
    const known = await secrets.addressOf(place)
    expect(known).toMatchObject({ kind: 'address' })
    answers.shift()
    clock.nowMs += 600_001
    expect(await secrets.addressOf(place)).toEqual(known)
  })
})

describe('names', () => {
  /** A name server that answers when a test says so. */
  const slow = () => {
    const asked: { host: string; answer: (addresses: string[]) => void }[] = []
    const resolve = (host: string) =>
      new Promise<string[]>((answer) => {
        asked.push({ host, answer })
      })
    return { asked, resolve }
  }

  test('of one namespace two are looked up at a time, those of others at once', async () => {
    const { asked, resolve } = slow()
    const lookups = new Lookups({ resolve })
    const found = ['a', 'b', 'c', 'd'].map((host) => lookups.addressesOf('loud', host))
    const same = lookups.addressesOf('loud', 'a')
    const other = lookups.addressesOf('shop', 'redis')
    expect(asked.map(({ host }) => host)).toEqual(['a', 'b', 'redis'])
    asked[2]?.answer(['10.0.0.1'])
    expect(await other).toEqual(['10.0.0.1'])
    asked[0]?.answer(['10.0.0.2'])
    expect([await found[0], await same]).toEqual([['10.0.0.2'], ['10.0.0.2']])
    await eventually(() => asked.length === 4)
    for (const { answer } of asked) answer([])
    await eventually(() => asked.length === 5)
    asked[4]?.answer([])
    expect(await Promise.all(found.slice(1))).toEqual([[], [], []])
  })

  test('that no name server knows of in time are told as such, and keep their place until it answers', async () => {
    const { asked, resolve } = slow()
    const lookups = new Lookups({ resolve, deadlineMs: 20 })
    const look = (host: string) => lookups.addressesOf('loud', host)
    for (const host of ['a', 'b', 'c']) await expect(look(host)).rejects.toBeInstanceOf(LookUpTimeout)
    for (let i = 0; i < 300; i++) look(`many-${i}`).catch(() => {})
    expect(asked.map(({ host }) => host)).toEqual(['a', 'b'])
    for (const { answer } of asked) answer([])
    await eventually(() => asked.length === 4)
    for (let i = 0; i < asked.length; i++) {
      asked[i]?.answer([])
      await new Promise(setImmediate)
    }
    expect(asked.length).toBeLessThanOrEqual(103)
  })

  test('of a Secret whose name server is slow now and whose url is the same lead where they led', async () => {
    const { asked, resolve } = slow()
    const { secrets, clock } = secretsOf(
      { url: 'redis://redis.shop' },
      [],
      new Lookups({ resolve, deadlineMs: 50 }),
    )
    expect(await secrets.addressOf(place)).toMatchObject({ reason: 'RedisUnreachable' })
    asked[0]?.answer(['10.0.0.7'])
    await new Promise(setImmediate)
    clock.nowMs += 5_001
    const second = secrets.addressOf(place)
    await eventually(() => asked.length === 2)
    asked[1]?.answer(['10.0.0.7'])
    const known = await second
    expect(known).toMatchObject({ kind: 'address' })
    clock.nowMs += 600_001
    expect(await secrets.addressOf(place)).toEqual(known)
    asked[2]?.answer([])
  })
})
