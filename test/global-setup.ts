// One Redis for all tests that only need some Redis; each uses queues of its own names. Tests that hurt Redis start their own.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { installPackages } from './cluster/needs.ts'
import { findProgram } from './cluster/run.ts'
import { endWithRun } from './run-processes.ts'

export default async function setUp(): Promise<void> {
  // Only a name: the first suite that needs a cluster starts it (cluster/shared.ts).
  process.env.MILLHAND_TEST_CLUSTER_FOLDER = join(tmpdir(), `millhand-test-cluster-${process.pid}`)
  await endWithRun()
  await bringServer()
  if (process.env.MILLHAND_TEST_REDIS) return
  const { RedisServer } = await import('./redis-server.ts')
  const server = await RedisServer.start()
  process.env.MILLHAND_TEST_REDIS = server.url
  ;(globalThis as { testRedis?: unknown }).testRedis = server
}

/** Tests speak TLS to a server, which the one that `up` fetches does not. */
async function bringServer(): Promise<void> {
  if ((await findProgram('redis-server')) || (await findProgram('valkey-server'))) return
  if (process.getuid?.() !== 0 || !(await findProgram('apt-get'))) {
    process.stderr.write('No redis-server on the PATH: install one, since the tests of TLS fail without it\n')
    return
  }
  process.stderr.write('Installing with apt-get: redis-server\n')
  await installPackages(['redis-server'])
}
