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
