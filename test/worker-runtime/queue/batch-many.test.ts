// A batch of many jobs: added in calls of a bounded size, counted at the same cost however many there are, ended once,
// and gone without a trace. With a million, as the long form has it: MILLHAND_BATCH_JOBS=1000000.
import { type Client, connect } from 'millhand/client'
import { type Connection, connectRedis, defaultSettings, openQueue, type Queue } from 'millhand/queue'
import { census } from '../../census.ts'
import { eventually } from '../../eventually.ts'
import { Monitor } from '../../monitor.ts'
import { RedisServer } from '../../redis-server.ts'
import { PLAYED, playWorkers } from './played-workers.ts'

const JOBS = Number(process.env.MILLHAND_BATCH_JOBS ?? 20_000)
const A_CALL_OF_ADD = 10_000
const SLOW_MICROSECONDS = 10_000

let server: RedisServer
let redis: Connection
let client: Client
let queue: Queue
beforeAll(async () => {
  server = await RedisServer.start()
  redis = connectRedis(server.url)
  client = connect({ redis: server.url, namespace: 'default' })
  queue = openQueue(redis, 'default.many')
})
afterAll(async () => {
  client.close()
  redis.close()
  await server.remove()
})

const memory = async () => Number(/used_memory:(\d+)/.exec(String(await redis.call('INFO', 'memory')))?.[1])
const keys = async () => ((await redis.call('KEYS', '*')) as string[]).sort()

test(`of ${JOBS} jobs is counted at the cost of a small one, calls back once, and leaves nothing`, async () => {
  const retention = { completedMaxAgeMs: 1_000, completedMaxCount: 1_000, buriedMaxCount: 10 }
  await queue.configure({ ...defaultSettings, ...retention, ownerUid: 'me', maxLength: 2 * JOBS })
  await queue.register(PLAYED)
  await client.queue('many').enqueue('first', null) // lanes, counters and lists are there
  await playWorkers([queue])
  const before = { memory: await memory(), keys: await keys() }

  const callbacks = { onComplete: { task: 'over' }, onSuccess: { task: 'no' }, onFailure: { task: 'failed' } }
  const batch = await client.queue('many').batch('large', { ...callbacks, keepMs: 1_000 })
  const monitor = await Monitor.start(server.url)
  const commandsOfFacts = async () => {
    await monitor.take()
    await batch.facts()
    return (await monitor.take()).inScripts
  }
  const named = (from: number, count: number) =>
    Array.from({ length: count }, (_, i) => ({
      task: 'part',
      input: from + i,
      options: { id: `part-${from + i}`, maxAttempts: 1 },
    }))
  await batch.add(named(0, 10))
  const few = await commandsOfFacts()
  await redis.call('CONFIG', 'SET', 'slowlog-log-slower-than', SLOW_MICROSECONDS)
  await redis.call('SLOWLOG', 'RESET')
  const startedAtMs = performance.now()
  for (let from = 0; from < JOBS; from += A_CALL_OF_ADD)
    await batch.add(named(from, Math.min(A_CALL_OF_ADD, JOBS - from)))
  const addedAtMs = performance.now()
  const bytes = ((await memory()) - before.memory) / JOBS
  expect(await batch.facts()).toMatchObject({ state: 'running', jobs: JOBS, enqueued: JOBS })
  expect(await commandsOfFacts()).toEqual(few)
  monitor.stop()
  await expect(batch.add(named(0, 1))).resolves.toHaveLength(1)
  await batch.close()

  // One in ten thousand is buried, and the callbacks come behind the last one.
  let ran = 0
  const others: string[] = []
  await playWorkers([queue], ({ task, input }) => {
    if (task !== 'part') return others.push(`${task} behind ${ran}`)
    ran += 1
    if (Number(input) % 10_000 === 7) throw new Error('it fails')
    return input
  })
  const failed = Math.ceil((JOBS - 7) / 10_000)
  expect(others).toEqual([`failed behind ${JOBS}`, `over behind ${JOBS}`])
  expect(await batch.ended()).toMatchObject({ state: 'failed', jobs: JOBS, completed: JOBS - failed, failed })
  const endedAtMs = performance.now()
  const slow = (await redis.call('SLOWLOG', 'LEN')) as number
  console.log(
    `${JOBS} jobs: ${Math.round(bytes)} bytes a waiting job; added ${Math.round(JOBS / ((addedAtMs - startedAtMs) / 1000))}, ended ${Math.round(JOBS / ((endedAtMs - addedAtMs) / 1000))} jobs/s; ${slow} calls of over ${SLOW_MICROSECONDS / 1000} ms`,
  )

  await queue.purge(['buried'])
  await eventually(async () => (await batch.facts()) === undefined, { what: 'the batch is forgotten' })
  await eventually(async () => (await keys()).filter((key) => key.includes(':job:')).length === 0, {
    what: 'all outcomes are gone',
  })
  expect((await census(redis, queue.name)).problems).toEqual([])
  // Lists of a bounded length are left: the last ids that ended, the last events, and flows that the next one will clear away.
  const left = (await keys()).filter((key) => !before.keys.includes(key))
  expect(left).toEqual(['mh:{default.many}:events', 'mh:{default.many}:flows'])
  expect((await memory()) - before.memory).toBeLessThan(2 * 2 ** 20)
}, 1_800_000)
