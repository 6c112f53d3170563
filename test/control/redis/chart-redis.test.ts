// What a TaskQueue in the Redis that the chart brought is advised: values of the chart. With any other Redis: settings of the server.
import { RedisServer } from '../../redis-server.ts'
import { openServers } from './open-servers.ts'

let server: RedisServer
beforeAll(async () => {
  server = await RedisServer.start({ args: ['--appendonly', 'no'] })
})
afterAll(() => server.remove())

test.each([
  ['127.0.0.1', 'redis.embedded.persistence.enabled=true'],
  ['millhand-redis.millhand-system.svc', 'appendonly'],
  [undefined, 'appendonly'],
])('where the chart brought a Redis at %s', async (chartRedis, advice) => {
  const { servers } = openServers({ one: server.url }, chartRedis === undefined ? {} : { chartRedis })
  try {
    const opened = await servers.open('shop.mail', { namespace: 'shop', secretName: 'one' })
    if (opened.kind !== 'open') throw new Error(opened.message)
    const findings = await opened.seen.examineServer()
    if (findings === 'unknown') throw new Error('the server could not be examined')
    expect(findings.find(({ check }) => check === 'Persistence')?.remedy).toContain(advice)
  } finally {
    servers.close()
  }
})
