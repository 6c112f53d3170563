// Very many schedules, in counts: those that are not due cost a queue nothing, and 2,000 that are due at once are few calls.
import { type Connection, connectRedis, newJob, openQueue } from 'millhand/queue'
import { Monitor } from '../../monitor.ts'
import { RedisServer } from '../../redis-server.ts'
import { scripts, setClock } from './clocked-queues.ts'

const WORKER = {
  ...{ worker: 'p:1', process: 'p', pod: '', podUid: 'u', poolUid: '', node: '', slots: 10 },
  ...{ isolation: '', isolationNote: '', version: '' },
}

let server: RedisServer
let redis: Connection
let monitor: Monitor | undefined
beforeEach(async () => {
  server = await RedisServer.start({ args: ['--appendonly', 'no'] })
  redis = connectRedis(server.url, { deadlineMs: 60_000 })
})
afterEach(async () => {
  monitor?.stop()
  redis.close()
  await server.remove()
})

async function setMany(count: number, set: (n: number) => Promise<unknown>) {
  for (let first = 0; first < count; first += 500)
    await Promise.all(Array.from({ length: Math.min(500, count - first) }, (_, n) => set(first + n)))
}

test('100,000 schedules that are not due: jobs, heartbeats and looks run the same commands as without', async () => {
  const [plain, full] = ['default.plain', 'default.full'].map((name) => openQueue(redis, name))
  if (!plain || !full) throw new Error('there are two queues')
  const used = async () => Number(/used_memory:(\d+)/.exec(String(await redis.call('INFO', 'memory')))?.[1])
  const before = await used()
  await setMany(100_000, (n) =>
    full.schedules.set(`account-${n}:digest`, { cron: '0 8 29 2 *', task: 'digest', input: { account: n } }),
  )
  const bytes = ((await used()) - before) / 100_000
  expect((await full.schedules.list({ limit: 1 })).total).toBe(100_000)
  await expect(full.schedules.set('one-more', { everyMs: 1_000, task: 't' })).rejects.toMatchObject({
    code: 'TOO_MANY_SCHEDULES',
  })
  for (const queue of [plain, full]) await queue.register(WORKER)
  monitor = await Monitor.start(server.url)
  const commands: string[][] = []
  for (const queue of [plain, full]) {
    // Scripts and settings are known after the first round.
    for (let round = 0; round < 2; round += 1) {
      await monitor.take()
      await queue.enqueue([newJob('noop', null)])
      const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })
      const settlements = claims.map(({ id, token }) => ({
        id,
        token,
        verdict: 'completed' as const,
        text: '1 noop 1\nnull',
      }))
      await queue.settleAndClaim({ worker: 'p:1', settlements, wanted: 1 })
      await queue.renew('p:1')
      await queue.depth()
    }
    const { sent, inScripts } = await monitor.take()
    commands.push([...sent, ...inScripts])
  }
  console.log(`${bytes.toFixed(0)} bytes a schedule; ${commands[0]?.length} commands`)
  expect(commands[1]).toEqual(commands[0])
  expect(bytes).toBeLessThan(1_000)
}, 300_000)

test('2,000 that are due at once are fired by 41 calls, each run once', async () => {
  const queue = openQueue(redis, 'default.burst', scripts)
  const at = (ms: number) => setClock(redis, queue, Date.parse('2026-01-01T00:00Z') + ms)
  await at(0)
  await setMany(2_000, (n) => queue.schedules.set(`s${n}`, { cron: '0 8 * * *', task: 'digest', input: n }))
  await at(8 * 3_600_000)
  monitor = await Monitor.start(server.url)
  await monitor.take()
  const { runs, nextMs } = await queue.schedules.fireDue()
  const { sent } = await monitor.take()
  expect(new Set(runs.map(({ id }) => id)).size).toBe(2_000)
  expect([runs.length, nextMs, sent.filter((command) => command === 'EVALSHA').length]).toEqual([
    2_000, 86_400_000, 41,
  ])
  expect((await queue.depth()).ready).toBe(2_000)
}, 120_000)

test('1,000 runs that were missed are made up for by five scripts, none of which makes more than 200', async () => {
  const queue = openQueue(redis, 'default.missed', scripts)
  const at = (ms: number) => setClock(redis, queue, Date.parse('2026-01-01T00:00Z') + ms)
  await at(0)
  const missed = { maxRuns: 100, withinMs: 3_600_000 }
  await setMany(10, (n) => queue.schedules.set(`s${n}`, { everyMs: 1_000, task: 'digest', missed }))
  await at(600_000)
  monitor = await Monitor.start(server.url)
  await monitor.take()
  const { runs } = await queue.schedules.fireDue()
  const { sent } = await monitor.take()
  expect(new Set(runs.map(({ id }) => id)).size).toBe(1_000)
  // The first of them asks what is due.
  expect(sent.filter((command) => command === 'EVALSHA')).toHaveLength(6)
  expect((await queue.depth()).ready).toBe(1_000)
}, 120_000)
