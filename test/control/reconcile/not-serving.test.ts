// A Redis that answers and does not do what is asked: the status says what it is, what to do about it, and never that it cannot be reached.

import { slotOf } from 'millhand/queue'
import { emptyMemory } from '../../../control/src/decide/memory.ts'
import { planWorkerPool } from '../../../control/src/decide/pool.ts'
import { planTaskQueue } from '../../../control/src/decide/queue.ts'
import { observeWorkerPool } from '../../../control/src/reconcile/observe-pool.ts'
import { observeTaskQueue } from '../../../control/src/reconcile/task-queue.ts'
import type { Servers } from '../../../control/src/redis/servers.ts'
import type { TaskQueueStatus } from '../../../control/src/resources/task-queue.ts'
import { eventually } from '../../eventually.ts'
import { freePort } from '../../free-port.ts'
import { declaredPool, fleetThatShows } from '../../operator/worker-pool/observed.ts'
import { ask, RedisCluster } from '../../redis-forms.ts'
import { RedisServer } from '../../redis-server.ts'
import { redis62 } from '../../redis-versions.ts'
import { type OpenServers, openServers } from '../redis/open-servers.ts'
import { declared, ownerName } from './declared.ts'

const toRemove: { remove(): Promise<void> }[] = []
const toClose: Servers[] = []
afterEach(async () => {
  for (const servers of toClose.splice(0)) servers.close()
  await Promise.all(toRemove.splice(0).map((each) => each.remove()))
})

async function serverWith(...args: string[]): Promise<RedisServer> {
  const server = await RedisServer.start({ args })
  toRemove.push(server)
  return server
}

function operatorAt(url: string): OpenServers {
  const opened = openServers({ 'millhand-redis': url })
  toClose.push(opened.servers)
  return opened
}

async function statusOf(
  { servers }: OpenServers,
  name: string,
  before?: TaskQueueStatus,
): Promise<TaskQueueStatus> {
  const object = { ...declared({ name }), ...(before && { status: before }) }
  const { status } = planTaskQueue(
    await observeTaskQueue(object, { servers, ownerName }, () => false),
    Date.now(),
  )
  return status ?? (before as TaskQueueStatus)
}

const conditionsOf = ({ conditions }: Pick<TaskQueueStatus, 'conditions'>) =>
  Object.fromEntries(conditions.map((condition) => [condition.type, condition]))

/** What a pool says that serves this queue. */
async function poolsConditions({ servers }: OpenServers, name: string, status: TaskQueueStatus) {
  const pool = declaredPool({ queues: [{ name }] })
  const world = {
    get: () => ({ ...declared({ name }), status }) as never,
    find: () => [pool] as never[],
    fleet: () => fleetThatShows(),
  }
  const { observed } = await observeWorkerPool(pool, { world, servers, memory: emptyMemory('pool-uid') })
  const plan = planWorkerPool(observed, { nowMs: performance.now(), wallMs: Date.now() })
  return conditionsOf(plan.currentStatus)
}

/** Goes on with what it reads, and says what would come of it. */
const readable = (message: string) => ({
  Ready: notServing(message),
  ScalingActive: { status: 'True' },
  RedisReachable: { status: 'True' },
  Suspended: { status: 'False' },
  Stalled: { status: 'False' },
})
const notServing = (message: string) => ({ status: 'False', reason: 'RedisNotServing', message })
const IS_SERVING_NOT = 'the Redis of the Secret millhand-redis answers, but cannot serve the queue now'

test('a primary that misses its replicas: what keeps it from writing is found at once, and that it is gone soon', async () => {
  const server = await serverWith()
  const operator = operatorAt(server.url)
  const good = await statusOf(operator, 'mail')
  expect(conditionsOf(good).Ready?.status).toBe('True')

  await ask(server, 'CONFIG', 'SET', 'min-replicas-to-write', 1)
  operator.clock.skippedMs += 6_000
  const bad = await statusOf(operator, 'mail', good)
  expect(conditionsOf(bad)).toMatchObject({
    Ready: notServing(expect.stringMatching(`^${IS_SERVING_NOT}: the server refuses writes`)),
    RedisReachable: { status: 'True', reason: 'Connected' },
    RedisSuitable: { status: 'False', reason: 'ReplicasNotInStep' },
    Suspended: { status: 'Unknown', reason: 'RedisNotServing' },
    Stalled: {
      status: 'True',
      reason: 'ReplicasNotInStep',
      message: 'manual action required: see the condition RedisSuitable',
    },
  })
  expect(conditionsOf(bad).RedisSuitable?.message).toContain('CONFIG SET min-replicas-to-write 0')
  expect(await poolsConditions(operator, 'mail', bad)).toMatchObject(
    readable(conditionsOf(bad).Ready?.message ?? ''),
  )

  await ask(server, 'CONFIG', 'SET', 'min-replicas-to-write', 0)
  operator.clock.skippedMs += 16_000
  const mended = conditionsOf(await statusOf(operator, 'mail', bad))
  expect(mended).toMatchObject({
    Ready: { status: 'True' },
    RedisSuitable: { status: 'True' },
    Stalled: { status: 'False' },
  })
}, 30_000)

test('a replica: it is said for each of its queues, however often it ends the connection, and pools read on and say so', async () => {
  const primary = await serverWith()
  const isAt = ['127.0.0.1', String(primary.port)]
  const replica = await serverWith('--replicaof', ...isAt, '--repl-diskless-sync-delay', '0')
  await eventually(async () =>
    String(await ask(replica, 'INFO', 'replication')).includes('master_link_status:up'),
  )
  const operator = operatorAt(replica.url)
  const names = ['a', 'b', 'c', 'd']
  for (let round = 0; round < 5; round++) {
    const message = `${IS_SERVING_NOT}: this server is a replica: it refuses writes`
    const found = await Promise.all(names.map((name) => statusOf(operator, name)))
    for (const status of found) {
      expect(conditionsOf(status)).toMatchObject({
        Ready: notServing(message),
        RedisSuitable: { status: 'False', reason: 'ReadOnlyReplica' },
        Stalled: { status: 'True', reason: 'ReadOnlyReplica' },
      })
      expect(await poolsConditions(operator, 'a', status)).toMatchObject(readable(message))
    }
    operator.clock.skippedMs += 6_000
  }
}, 60_000)

describe('a Cluster of which half of the slots are served by nobody', () => {
  /** Names of queues in the half that is served, and in the other. */
  const nameIn = (isServed: boolean) => {
    const names = Array.from({ length: 100 }, (_, at) => `q${at}`)
    return names.find((name) => slotOf(`mh:{shop.${name}}:`) < 8_192 === isServed) ?? ''
  }
  const half = async (...more: string[]) => {
    const bus = await freePort()
    const server = await serverWith('--cluster-enabled', 'yes', '--cluster-port', String(bus), ...more)
    await ask(server, 'CLUSTER', 'ADDSLOTSRANGE', 0, 8_191)
    return server
  }

  test.each([
    ['that has the queue', true],
    ['that has not', false],
  ])(
    'at its one server as a Cluster, in the half %s',
    async (_what, isServed) => {
      const server = await half()
      const operator = operatorAt(server.url.replace('redis:', 'redis+cluster:'))
      const name = nameIn(isServed)
      const lost = '8192 of 16384 slots of the Cluster are not served: queues in them stand still'
      const status = await statusOf(operator, name)
      expect(conditionsOf(status)).toMatchObject({
        Ready: notServing(`${IS_SERVING_NOT}: ${lost}`),
        RedisReachable: { status: 'True' },
        RedisSuitable: { status: 'False', reason: 'ClusterIncomplete' },
        Stalled: { status: 'True', reason: 'ClusterIncomplete' },
      })
      const { Ready, ScalingActive } = await poolsConditions(operator, name, status)
      expect([Ready?.reason, ScalingActive?.status]).toEqual(['RedisNotServing', 'Unknown'])
    },
    30_000,
  )

  test('at its one server as if it were alone', async () => {
    const server = await half()
    const operator = operatorAt(server.url)
    const conditions = conditionsOf(await statusOf(operator, nameIn(false)))
    expect(conditions).toMatchObject({
      Ready: notServing(expect.stringContaining('this is one server of a Cluster')),
      Stalled: { status: 'True', reason: 'ClusterIncomplete' },
    })
    expect(conditions.RedisSuitable?.message).toContain('write the address like redis+cluster://')
  }, 30_000)
})

test('one server of a Cluster by a plain address: the queues of the others are told how to write it', async () => {
  const cluster = await RedisCluster.start()
  toRemove.push(cluster)
  const [first] = cluster.servers
  const names = Array.from({ length: 100 }, (_, at) => `q${at}`)
  const elsewhere = names.find((name) => slotOf(`mh:{shop.${name}}:`) > 10_000) ?? ''
  const operator = operatorAt(first?.url ?? '')
  const status = await statusOf(operator, elsewhere)
  const conditions = conditionsOf(status)
  expect(conditions).toMatchObject({
    Ready: { status: 'False', reason: 'RedisIsCluster' },
    RedisReachable: { status: 'True' },
    RedisSuitable: { status: 'False', reason: 'ClusterIncomplete' },
    Stalled: { status: 'True', reason: 'RedisIsCluster' },
  })
  expect(conditions.Ready?.message).toContain('write its url as redis+cluster://host:6379,host')
  expect((await poolsConditions(operator, elsewhere, status)).Ready?.reason).toBe('RedisIsCluster')
}, 90_000)

test.each([
  ['of this machine', async () => undefined],
  ['of the oldest version', redis62],
])(
  'a server %s that lacks a command of a script',
  async (_what, binaryOf) => {
    const binary = await binaryOf()
    const args = ['--rename-command', 'HSET', '']
    const server = await RedisServer.start({ args, ...(binary && { binary }) })
    toRemove.push(server)
    const operator = operatorAt(server.url)
    const { servers } = operator
    const { redis } = await observeTaskQueue(declared(), { servers, ownerName }, () => false)
    expect(redis).toMatchObject({
      reason: 'RedisScriptsFail',
      cause: expect.stringContaining('command'),
    })
    const conditions = conditionsOf(await statusOf(operator, 'mail'))
    expect(conditions).toMatchObject({
      Ready: { status: 'False', reason: 'RedisScriptsFail' },
      Stalled: { status: 'True', reason: 'RedisScriptsFail' },
    })
    expect(conditions.Ready?.message).toContain('use Redis 6.2 or Valkey 7.2, or newer')
  },
  60_000,
)

test('a server that is away, or dies, or stands still cannot be reached, and is not asked about itself', async () => {
  const nowhere = operatorAt(`redis://127.0.0.1:${await freePort()}`)
  const unreachable = {
    Ready: { status: 'Unknown', reason: 'RedisUnreachable' },
    RedisReachable: { status: 'False', reason: 'RedisUnreachable' },
    RedisSuitable: { status: 'Unknown', reason: 'RedisUnreachable' },
    Stalled: { status: 'False' },
  }
  expect(conditionsOf(await statusOf(nowhere, 'mail'))).toMatchObject(unreachable)

  const server = await serverWith()
  const operator = operatorAt(server.url)
  expect(conditionsOf(await statusOf(operator, 'mail')).Ready?.status).toBe('True')
  server.freeze()
  expect(conditionsOf(await statusOf(operator, 'mail'))).toMatchObject(unreachable)
  server.thaw()
  await server.crash()
  await eventually(async () => {
    expect(conditionsOf(await statusOf(operator, 'mail'))).toMatchObject(unreachable)
    return true
  })
}, 60_000)
