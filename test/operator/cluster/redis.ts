// The Redis of a scene for suites that hurt it or the API server: one that keeps its data when its process ends, and a way to it that does
// not lead through the API server.
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer, connect as dial } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Connection, connectRedis } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import type { Scene } from './scene.ts'
import { containerOf } from './workers.ts'

/** What it confirmed survives its container; before anything was written. */
export async function keepRedisData({ cluster, namespace }: Scene): Promise<void> {
  const container = {
    name: 'redis',
    args: [
      ...['--protected-mode', 'no', '--dir', '/data', '--save', ''],
      ...['--appendonly', 'yes', '--appendfsync', 'always', '--maxmemory-policy', 'noeviction'],
    ],
    volumeMounts: [{ name: 'data', mountPath: '/data' }],
  }
  const spec = { containers: [container], volumes: [{ name: 'data', emptyDir: {} }] }
  const kubectl = (...args: string[]) => cluster.kubectl(['-n', namespace, ...args])
  const patch = { spec: { strategy: { type: 'Recreate', rollingUpdate: null }, template: { spec } } }
  await kubectl('patch', 'deployment', 'redis', '-p', JSON.stringify(patch))
  await kubectl('rollout', 'status', 'deployment/redis', '--timeout=60s')
}

/** Only on the testbed. */
export async function reachRedis(scene: Scene): Promise<{ connection: Connection; close(): void }> {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-redis-'))
  // A socket of the file system has no network: what listens inside is reached from outside.
  const path = join(folder, 'socket')
  const { spec } = await scene.get('service', 'redis')
  const script = `const { createConnection, createServer } = require('node:net')
    const [host, path] = process.argv.slice(1)
    createServer((from) => {
      const to = createConnection({ host, port: 6379 })
      for (const [one, other] of [[from, to], [to, from]]) one.on('error', () => {}).on('close', () => other.destroy()).pipe(other)
    }).listen(path)`
  const bridge = scene.cluster.inside([process.execPath, '-e', script, spec.clusterIP, path], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const outside = createServer((from) => {
    const to = dial(path)
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const)
      one
        .on('error', () => {})
        .on('close', () => other.destroy())
        .pipe(other)
  })
  await new Promise<void>((resolve) => outside.listen(0, '127.0.0.1', resolve))
  const { port } = outside.address() as AddressInfo
  const connection = connectRedis(`redis://127.0.0.1:${port}`)
  await eventually(() => connection.ready().then(() => true), { what: 'Redis', withinMs: 30_000 })
  return {
    connection,
    close: () => {
      connection.close()
      outside.close()
      bridge.kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** As this machine sees it; it may be a moment before there is one again. */
export async function redisProcess(scene: Scene): Promise<number> {
  const { items } = await scene.get('pods')
  const pod = items.find(
    ({ metadata }: { metadata: { labels: { app?: string } } }) => metadata.labels.app === 'redis',
  )
  const container = await eventually(() => containerOf(pod.metadata.uid, 'redis-server'), {
    what: 'the process of Redis',
    withinMs: 120_000,
  })
  return container.first
}
