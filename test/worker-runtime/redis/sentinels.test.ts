// What Sentinels hear of a connection: nothing after it was closed, and nothing where they may not be spoken to. They say what a test wants:
// forms.test.ts has the real ones.
import { connectRedis } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { RespServer } from '../../resp-server.ts'

test('a connection that is closed before a Sentinel has answered opens no other', async () => {
  const sentinel = await RespServer.start(() => undefined)
  const redis = connectRedis(`redis+sentinel://127.0.0.1:${sentinel.port}/jobs`)
  await eventually(() => sentinel.connections === 2)
  const before = sentinel.connections
  redis.close()
  // More than the second after which another Sentinel is listened to.
  await new Promise((resolve) => setTimeout(resolve, 2_500))
  expect(sentinel.connections).toBe(before)
  sentinel.stop()
})

test.each(['127.0.0.1', 'localhost'])(
  'one that is denied (%s) is not even connected to, neither to ask for the primary nor to listen',
  async (host) => {
    const sentinel = await RespServer.start(() => undefined)
    const asked: string[] = []
    const url = `redis+sentinel://${host}:${sentinel.port}/jobs?sentinelUsername=user&sentinelPassword=secret`
    const redis = connectRedis(url, { isDenied: (address, port) => asked.push(`${address}:${port}`) > 0 })
    // Both have tried, and one of them again.
    await eventually(() => asked.length > 2)
    redis.close()
    expect(asked).toContain(`127.0.0.1:${sentinel.port}`)
    expect(sentinel.connections).toBe(0)
    sentinel.stop()
  },
)
