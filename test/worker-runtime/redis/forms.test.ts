// The connection to Redis in each of its forms, with real servers: behind Sentinels, in a Cluster, over TLS.
import {
  type Connection,
  connectRedis,
  newJob,
  openQueue,
  prefixOf,
  type RedisUnavailable,
  slotOf,
} from 'millhand/queue'
import { census } from '../../census.ts'
import { eventually } from '../../eventually.ts'
import { ask, RedisCluster, Sentinels, TlsServer } from '../../redis-forms.ts'

const PATIENCE = { withinMs: 60_000, everyMs: 20 }
const entry = (worker: string) => ({
  worker,
  process: 'p',
  pod: '',
  podUid: worker,
  poolUid: '',
  node: '',
  slots: 1,
  isolation: 'Spawn',
  isolationNote: '',
  version: '0',
})

/** Enqueues, claims and settles one job. */
async function oneJob(redis: Connection, name: string): Promise<void> {
  const queue = openQueue(redis, name)
  await queue.enqueue([newJob('task', 'input')])
  await queue.register(entry('w:1'))
  const [claim] = (await queue.settleAndClaim({ worker: 'w:1', wanted: 1 })).claims
  if (!claim) throw new Error('there was nothing to claim')
  const { id, token } = claim
  await queue.settleAndClaim({
    worker: 'w:1',
    settlements: [{ id, token, verdict: 'completed', text: '1 task 1\nnull' }],
  })
  expect((await queue.job(id))?.state).toBe('completed')
  await queue.deregister('w:1')
}

describe('behind Sentinels', () => {
  let sentinels: Sentinels
  let redis: Connection
  beforeAll(async () => {
    sentinels = await Sentinels.start()
    redis = connectRedis(sentinels.url, { deadlineMs: 2_500 })
  }, 150_000)
  afterAll(async () => {
    redis.close()
    await sentinels.remove()
  })

  test('the primary is found, and the new one after a failover', async () => {
    await oneJob(redis, 'forms.before')
    await sentinels.failOver()
    await eventually(() => oneJob(redis, 'forms.after').then(() => true), PATIENCE)
    expect((await census(redis, 'forms.after')).problems).toEqual([])
  }, 150_000)

  test('the new one is taken at once, also where the old one lives on and does not know', async () => {
    const before = await sentinels.primary()
    // Sentinels cannot make a replica of it: whoever waited for that would write to it for ever.
    await ask(before, 'ACL', 'SETUSER', 'default', '-replicaof', '-slaveof')
    const now = await sentinels.promoteAnother()
    const isMoved = async () => {
      await oneJob(redis, 'forms.moved')
      return Number(await ask(now, 'EXISTS', `${prefixOf('forms.moved')}counts`)) === 1
    }
    await eventually(isMoved, { ...PATIENCE, everyMs: 200 })
    expect(await ask(before, 'ROLE')).toEqual(expect.arrayContaining(['master']))
    await ask(before, 'ACL', 'SETUSER', 'default', '+@all')
  }, 150_000)

  test('one that Sentinels name is not spoken to where it is denied', async () => {
    const { port } = await sentinels.primary()
    const isDenied = (address: string, at: number) => address === '127.0.0.1' && at === port
    const guarded = connectRedis(sentinels.url, { deadlineMs: 3_000, isDenied })
    await expect(guarded.call('PING')).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
    guarded.close()
    const free = connectRedis(sentinels.url, { deadlineMs: 20_000, isDenied: () => false })
    expect(await free.call('PING')).toBe('PONG')
    free.close()
  }, 60_000)

  test('the new one too when the primary was killed, and a Sentinel with it', async () => {
    const before = await sentinels.primary()
    await sentinels.sentinels[2]?.crash()
    await before.crash()
    await sentinels.promoted(before)
    await eventually(() => oneJob(redis, 'forms.killed').then(() => true), PATIENCE)
    await before.start()
    await sentinels.sentinels[2]?.start()
  }, 150_000)
})

describe('in a Cluster', () => {
  let cluster: RedisCluster
  let redis: Connection
  // Three queues of three nodes.
  const queues = ['forms.b', 'forms.c', 'forms.d', 'forms.e', 'forms.f', 'forms.g']
  beforeAll(async () => {
    cluster = await RedisCluster.start()
    redis = connectRedis(cluster.url, { deadlineMs: 2_500 })
  }, 150_000)
  afterAll(async () => {
    redis?.close()
    await cluster?.remove()
  })

  test('each queue lives whole on the node of its slot', async () => {
    for (const name of queues) await oneJob(redis, name)
    const owners = new Set<number>()
    for (const name of queues) {
      const slot = slotOf(prefixOf(name))
      const owner = await cluster.ownerOf(slot)
      owners.add(owner.port)
      expect(await ask(owner, 'CLUSTER', 'KEYSLOT', prefixOf(name))).toBe(slot)
      expect(await ask(owner, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBeGreaterThan(0)
    }
    expect(owners.size).toBeGreaterThan(1)
  })

  test('a slot is moved while it is used: nothing is lost, and nobody is told of a failure but by a call that may be repeated', async () => {
    const name = 'forms.moved'
    const queue = openQueue(redis, name)
    const slot = slotOf(prefixOf(name))
    await queue.enqueue(Array.from({ length: 500 }, (_, at) => newJob('task', at)))
    const from = await cluster.ownerOf(slot)
    let enqueued = 500
    let isMoved = false
    const enqueueing = (async () => {
      while (!isMoved)
        await queue.enqueue([newJob('task', 'more')]).then(
          () => {
            enqueued += 1
          },
          (error) => expect((error as RedisUnavailable).maybeDone).toBe(false),
        )
    })()
    await cluster.moveSlot(slot)
    isMoved = true
    await enqueueing
    expect((await queue.depth()).ready).toBe(enqueued)
    expect(await cluster.ownerOf(slot)).not.toBe(from)
    expect((await census(redis, name)).problems).toEqual([])
  }, 150_000)

  test('messages come also when the replica of the node that sent them has taken over', async () => {
    const name = 'forms.told'
    let told = 0
    const messages = connectRedis(cluster.url)
    const stop = await messages.subscribe(`${prefixOf(name)}stirred`, () => {
      told += 1
    })
    const slot = slotOf(prefixOf(name))
    const owner = await cluster.ownerOf(slot)
    await owner.crash()
    await eventually(async () => {
      await openQueue(redis, name).pause()
      return told > 0
    }, PATIENCE)
    stop()
    messages.close()
    await owner.start()
  }, 150_000)

  test('a primary is killed: queues of other nodes notice nothing, its own go on with its replica', async () => {
    const owner = await cluster.ownerOf(slotOf(prefixOf('forms.b')))
    const elsewhere: string[] = []
    for (const name of queues)
      if ((await cluster.ownerOf(slotOf(prefixOf(name)))) !== owner) elsewhere.push(name)
    await owner.crash()
    for (const name of elsewhere) await oneJob(redis, name)
    await eventually(() => oneJob(redis, 'forms.b').then(() => true), PATIENCE)
    await owner.start()
    // Until it hears of the other one it takes itself for the primary.
    await eventually(async () => String(await ask(owner, 'ROLE')).startsWith('slave'), PATIENCE)
  }, 150_000)

  test('a node that others name is not spoken to where it is denied', async () => {
    const { port } = await cluster.ownerOf(slotOf(prefixOf('forms.b')))
    const isDenied = (address: string, at: number) => address === '127.0.0.1' && at === port
    const guarded = connectRedis(cluster.url, { deadlineMs: 5_000, isDenied })
    await expect(guarded.call('EXISTS', prefixOf('forms.b'))).rejects.toMatchObject({
      code: 'REDIS_UNAVAILABLE',
    })
    guarded.close()
    const free = connectRedis(cluster.url, { deadlineMs: 20_000, isDenied: () => false })
    expect(await free.call('EXISTS', prefixOf('forms.b'))).toBe(0)
    free.close()
  }, 60_000)

  test('one node that is known is enough to find all', async () => {
    const one = connectRedis(`redis+cluster://127.0.0.1:${cluster.servers[3]?.port}`)
    for (const name of queues) await oneJob(one, name)
    one.close()
  })
})

describe('over TLS', () => {
  let tls: TlsServer
  beforeAll(async () => {
    tls = await TlsServer.start()
  })
  afterAll(() => tls.remove())

  test('with an authority of its own and a client certificate it works', async () => {
    const redis = connectRedis(tls.access)
    await oneJob(redis, 'forms.tls')
    redis.close()
  })

  test.each([
    ['without the authority', { ca: undefined }],
    ['without a certificate', { cert: undefined, key: undefined }],
  ])('%s it does not, and the error says why', async (_what, without) => {
    const redis = connectRedis({ ...tls.access, ...without }, { deadlineMs: 1_000 })
    await expect(redis.call('PING')).rejects.toThrow(/no connection to Redis within|self-signed|certificate/)
    redis.close()
  })
})
