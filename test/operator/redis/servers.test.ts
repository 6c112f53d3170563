// The operator's connections to real Redis servers: one that is away keeps nobody waiting, one that nobody needs is left, and a queue that
// runs empty again and again is looked at five times a second.
import { connectRedis, newJob, openQueue, silent } from 'millhand/queue'
import { Secrets } from '../../../operator/src/redis/secrets.ts'
import { Servers } from '../../../operator/src/redis/servers.ts'
import { eventually } from '../../eventually.ts'
import { freePort } from '../../free-port.ts'
import { redisUrl } from '../../redis.ts'
import { RedisServer } from '../../redis-server.ts'

const place = { namespace: 'shop', secretName: 'millhand-redis' }
const opened: Servers[] = []
afterEach(() => {
  for (const servers of opened.splice(0)) servers.close()
})

function serversFor(url: { now: string }) {
  const stirs: string[] = []
  const secrets = new Secrets({
    readSecret: async () => ({ url: url.now }),
    secretNames: ['millhand-redis'],
    deniedServers: [],
    nowMs: () => performance.now(),
  })
  const servers = new Servers({
    secrets,
    onStirred: ({ queueName }) => stirs.push(queueName),
    checkLeading: () => {},
    log: silent,
    nowMs: () => performance.now(),
  })
  opened.push(servers)
  const open = async (name: string) => {
    const found = await servers.open(name, place)
    if (found.kind === 'problem') throw new Error(found.message)
    return found.seen
  }
  return { servers, stirs, open }
}

test('a server that is known to be away is not waited for', async () => {
  const { open } = serversFor({ now: `redis://127.0.0.1:${await freePort()}` })
  const seen = await open('shop.away')
  await expect(seen.look()).rejects.toThrow()
  const startedAt = performance.now()
  for (let times = 0; times < 100; times++) await expect(seen.look()).rejects.toThrow('the server is away')
  expect(performance.now() - startedAt).toBeLessThan(1_000)
})

test('after a Secret leads to another server, the old one is left', async () => {
  const [first, second] = await Promise.all([RedisServer.start(), RedisServer.start()])
  try {
    const url = { now: first.url }
    const { servers, open } = serversFor(url)
    await (await open('shop.moved')).look()
    url.now = second.url
    servers.forgetSecret(place)
    await (await open('shop.moved')).look()
    const there = connectRedis(first.url)
    await eventually(async () => !String(await there.call('CLIENT', 'LIST')).includes('millhand-operator'))
    there.close()
    expect(servers.queues.length).toBe(1)
    servers.forget('shop.moved', place)
    expect(servers.queues).toEqual([])
  } finally {
    await Promise.all([first.remove(), second.remove()])
  }
})

test('a queue that runs empty again and again stirs five times a second', async () => {
  const { stirs, open } = serversFor({ now: redisUrl() })
  const name = `shop.stirs-${process.pid}`
  const seen = await open(name)
  await seen.look()
  const redis = connectRedis(redisUrl())
  const queue = openQueue(redis, name)
  const job = () => queue.enqueue([newJob('echo', 1)])
  await eventually(async () => {
    await job()
    return stirs.length > 0
  })
  const before = stirs.length
  const startedAt = performance.now()
  for (let times = 0; times < 50; times++) seen.stir()
  await eventually(() => stirs.length > before)
  expect(stirs.length - before).toBeLessThanOrEqual(2 + (performance.now() - startedAt) / 200)
  expect((await seen.look()).depth.ready).toBeGreaterThan(0)
  redis.close()
})
