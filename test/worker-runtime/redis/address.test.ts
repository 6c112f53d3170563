// Every way to write where Redis is, and what is said of the wrong ones: never a part that may be secret.
import { parseAddress } from 'millhand/queue'

test.each([
  ['redis://10.0.0.1', { form: 'server', hosts: [{ host: '10.0.0.1', port: 6379 }], db: 0 }],
  [
    'rediss://worker:p%40ss:word@redis.example:6380/2',
    {
      form: 'server',
      hosts: [{ host: 'redis.example', port: 6380 }],
      username: 'worker',
      password: 'p@ss:word',
      db: 2,
      tls: {},
    },
  ],
  [
    'redis://:secret@[::1]:7000',
    { form: 'server', hosts: [{ host: '::1', port: 7000 }], password: 'secret', db: 0 },
  ],
  [
    'redis+sentinel://a,b:26380/jobs/1?sentinelUsername=s&sentinelPassword=x%26y',
    {
      form: 'sentinel',
      hosts: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 26_380 },
      ],
      primaryName: 'jobs',
      db: 1,
      sentinelUsername: 's',
      sentinelPassword: 'x&y',
    },
  ],
  [
    'rediss+cluster://user:pw@a:7001,b',
    {
      form: 'cluster',
      hosts: [
        { host: 'a', port: 7001 },
        { host: 'b', port: 6379 },
      ],
      username: 'user',
      password: 'pw',
      db: 0,
      tls: {},
    },
  ],
])('%s is understood', (url, address) => {
  expect(parseAddress(url)).toEqual(address)
})

test.each([
  ['http://a', 'is not a Redis URL'],
  ['localhost:6379', 'is not a Redis URL'],
  ['redis://', 'names no host'],
  ['redis://u:hidden@', 'names no host'],
  ['redis://a,b', 'names several hosts'],
  ['redis://a:99999', 'has the invalid port 99999'],
  ['redis://u:hidden@a b', 'has an invalid host'],
  ['redis://u:50%hidden@a', 'has a user or password with a bare %'],
  ['redis://a/first', 'has an invalid database number'],
  ['redis://u:hidden@a?path=/run/any.sock', 'has a query, which is ignored'],
  ['redis+sentinel://a,b', 'names no primary'],
  ['redis+sentinel://a/jobs?password=hidden', 'has a query with something other than'],
  ['redis+cluster://a/3', 'has a database number'],
])('%s is refused', (url, why) => {
  expect(() => parseAddress(url)).toThrow(why)
  expect(() => parseAddress(url)).toThrow(/^(?!.*hidden)/)
})

test('certificates are for TLS, and one of a client needs its key', () => {
  expect(() => parseAddress({ url: 'redis://a', ca: 'x' })).toThrow('does not use TLS')
  expect(() => parseAddress({ url: 'rediss://a', cert: 'x' })).toThrow(
    'has a client certificate without its key',
  )
  expect(parseAddress({ url: 'rediss://a', ca: 'c', cert: 'x', key: 'k' }).tls).toEqual({
    ca: 'c',
    cert: 'x',
    key: 'k',
  })
})
