// One Redis for all tests that only need some Redis; each uses queues of its own names. Tests that hurt Redis start their own.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { endWithRun } from './run-processes.ts'

export default async function setUp(): Promise<void> {
  // Only a name: the first suite that needs a cluster starts it (cluster/shared.ts).
  process.env.MILLHAND_TEST_CLUSTER_FOLDER = join(tmpdir(), `millhand-test-cluster-${process.pid}`)
  await endWithRun()
  if (process.env.MILLHAND_TEST_REDIS) return
  const { RedisServer } = await import('./redis-server.ts')
  const server = await RedisServer.start()
  process.env.MILLHAND_TEST_REDIS = server.url
  ;(globalThis as { testRedis?: unknown }).testRedis = server
}
