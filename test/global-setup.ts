// One Redis for all tests that only need some Redis; each uses queues of its own names. Tests that hurt Redis start their own.
export default async function setUp(): Promise<void> {
  if (process.env.MILLHAND_TEST_REDIS) return
  const { RedisServer } = await import('./redis-server.ts')
  const server = await RedisServer.start()
  process.env.MILLHAND_TEST_REDIS = server.url
  ;(globalThis as { testRedis?: unknown }).testRedis = server
}
