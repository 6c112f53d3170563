// The operator's settings, from its environment.
import { ConfigError, readConfig } from '../../operator/src/config.ts'

test('the lease lasts for 15 s unless the environment says otherwise', () => {
  expect(readConfig({}).leaseDurations).toEqual({ leaseMs: 15_000, renewDeadlineMs: 10_000, retryMs: 2_000 })
  const env = { MILLHAND_LEASE_DURATION_SECONDS: '60', MILLHAND_LEASE_RENEW_DEADLINE_SECONDS: '40' }
  expect(readConfig(env).leaseDurations).toEqual({ leaseMs: 60_000, renewDeadlineMs: 40_000, retryMs: 2_000 })
})

test.each<[string, Record<string, string>, RegExp]>([
  ['a lease that ends before the leader gives up', { DURATION: '10' }, /each must be shorter/],
  ['a retry after the deadline', { RETRY_PERIOD: '10' }, /each must be shorter/],
  ['no time', { DURATION: '0' }, /invalid MILLHAND_LEASE_DURATION_SECONDS "0": write seconds, 1 to 3600/],
  [
    'a duration with a unit',
    { RETRY_PERIOD: '2s' },
    /invalid MILLHAND_LEASE_RETRY_PERIOD_SECONDS "2s": write seconds/,
  ],
])('%s is refused', (_, values, message) => {
  const entries = Object.entries(values).map(([name, value]) => [`MILLHAND_LEASE_${name}_SECONDS`, value])
  const read = () => readConfig(Object.fromEntries(entries))
  expect(read).toThrow(ConfigError)
  expect(read).toThrow(message)
})

test('metrics have TLS where a port for them is given', () => {
  expect(readConfig({}).secureMetrics).toBeUndefined()
  expect(readConfig({ MILLHAND_METRICS_PORT: '8443' }).secureMetrics).toEqual({ port: 8443 })
  const env = { MILLHAND_METRICS_PORT: '9443', MILLHAND_METRICS_CERTIFICATE: '/tls' }
  expect(readConfig(env).secureMetrics).toEqual({ port: 9443, certificateFolder: '/tls' })
  expect(() => readConfig({ MILLHAND_METRICS_PORT: 'https' })).toThrow('write a port, 1 to 65535')
})

describe('the dashboard', () => {
  const read = (env: Record<string, string>) =>
    readConfig(
      Object.fromEntries(Object.entries(env).map(([name, value]) => [`MILLHAND_DASHBOARD_${name}`, value])),
    ).dashboard

  test('is not served unless it has a port, and never without a mode', () => {
    expect(read({})).toBeUndefined()
    expect(read({ MODE: 'kubernetes' })).toBeUndefined()
    expect(read({ PORT: '8081', MODE: 'kubernetes' })).toMatchObject({ port: 8081, mode: 'kubernetes' })
    for (const MODE of ['', 'none', 'local', 'Kubernetes'])
      expect(() => read({ PORT: '8081', MODE })).toThrow('nobody could sign in')
    expect(() => read({ PORT: '8081' })).toThrow(ConfigError)
  })

  test('is told all that its values say', () => {
    const env = {
      PORT: '8081',
      MODE: 'proxy',
      TLS: 'self-signed',
      READ_ONLY: 'true',
      URL: 'https://example.com/millhand',
      HOSTS: 'millhand.svc,*.example.com',
      SECRETS: '/secrets',
      REDACT: '{"SendMail":["card.number"]}',
      PROXY_NETWORKS: '10.0.0.0/8,fd00::/8',
      USER_HEADER: 'X-User',
    }
    expect(read(env)).toEqual({
      port: 8081,
      mode: 'proxy',
      tls: { certificateFolder: undefined },
      isReadOnly: true,
      publicUrl: new URL('https://example.com/millhand'),
      hosts: ['millhand.svc', '*.example.com'],
      secretsFolder: '/secrets',
      redact: { SendMail: ['card.number'] },
      proxy: {
        networks: ['10.0.0.0/8', 'fd00::/8'],
        secretHeader: 'X-Millhand-Proxy-Secret',
        userHeader: 'X-User',
        groupsHeader: 'X-Forwarded-Groups',
      },
    })
    expect(read({ PORT: '1', MODE: 'token', TLS: '/tls' })?.tls).toEqual({ certificateFolder: '/tls' })
  })

  test.each<[Record<string, string>, string]>([
    [{ MODE: 'proxy' }, 'write the CIDRs of the proxy'],
    [{ PROXY_NETWORKS: 'anywhere' }, 'in MILLHAND_DASHBOARD_PROXY_NETWORKS'],
    [{ READ_ONLY: 'yes' }, 'invalid MILLHAND_DASHBOARD_READ_ONLY "yes": write true or false'],
    [{ URL: 'millhand.example.com' }, 'write an address like'],
    [{ URL: 'javascript:alert(1)' }, 'write an address like'],
    [{ URL: 'https://a:b@example.com' }, 'write an address like'],
    [{ HOSTS: '*' }, 'MILLHAND_DASHBOARD_HOSTS'],
    [{ HOSTS: 'a.*.b' }, 'MILLHAND_DASHBOARD_HOSTS'],
    [{ REDACT: '["a"]' }, 'write paths by task'],
    [{ REDACT: '{"a":"b"}' }, 'write paths by task'],
    [{ REDACT: '{' }, 'write paths by task'],
    [{ USER_HEADER: 'X User' }, 'write a header like X-Forwarded-User'],
  ])('with %j is refused', (env, said) => {
    expect(() => read({ PORT: '8081', MODE: 'kubernetes', ...env })).toThrow(said)
  })
})
