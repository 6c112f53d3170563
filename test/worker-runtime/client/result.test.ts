// Waiting for the result of a job: what it costs, who is told, and what is left in Redis.
import { type Client, connect, JobBuried, JobCancelled, JobNotFound, ResultTimeout } from 'millhand/client'
import { type Connection, connectRedis, openQueue, type Queue } from 'millhand/queue'
import { eventually } from '../../eventually.ts'
import { FaultProxy } from '../../fault-proxy.ts'
import { RedisServer } from '../../redis-server.ts'

/** A wait looks again after 5 s: what resolves earlier was told. */
const TOLD = { timeoutMs: 4_000 }
const NOTHING = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }

let server: RedisServer
let admin: Connection
const opened: { close(): void }[] = []
let tests = 0
let name = ''
let queue: Queue
beforeAll(async () => {
  server = await RedisServer.start()
}, 30_000)
beforeEach(async () => {
  name = `jobs-${++tests}`
  admin = connectRedis(server.url)
  opened.push(admin)
  queue = openQueue(admin, `default.${name}`)
  await queue.register({ ...NOTHING, worker: 'p:1', process: 'p', podUid: 'u', slots: 100 })
})
afterEach(() => {
  for (const each of opened.splice(0)) each.close()
})
afterAll(() => server.remove())

const open = (redis = server.url): Client => {
  const client = connect({ redis })
  opened.push(client)
  return client
}
const claim = async (jobs = 1) => (await queue.settleAndClaim({ worker: 'p:1', wanted: jobs })).claims
type Verdict = 'completed' | 'terminal'
const settle = (claims: readonly { id: string; token: string }[], verdict: Verdict = 'completed') => {
  const text = verdict === 'completed' ? '1 task 1\n"done"' : '{"outcome":"failed"}'
  const settlements = claims.map(({ id, token }) => ({ id, token, verdict, text }))
  return queue.settleAndClaim({ worker: 'p:1', settlements })
}
const waiters = () => admin.call('HGETALL', `mh:{default.${name}}:waiters`) as Promise<string[]>
const noted = (count = 1) => eventually(async () => (await waiters()).length === 2 * count)

/** How often these commands were called, in scripts too. */
async function callsOf(...commands: string[]): Promise<number[]> {
  const stats = String(await admin.call('INFO', 'commandstats'))
  return commands.map((command) => Number(new RegExp(`_${command}:calls=(\\d+)`).exec(stats)?.[1] ?? 0))
}
async function during(commands: string[], work: () => Promise<unknown>): Promise<number[]> {
  const before = await callsOf(...commands)
  await work()
  const after = await callsOf(...commands)
  return after.map((calls, at) => calls - (before[at] ?? 0))
}

test('a result takes one call and one message: the channel of the client is subscribed to once', async () => {
  const jobs = open().queue(name)
  const first = (await jobs.enqueue('task')).result(TOLD)
  await noted()
  await settle(await claim())
  await first
  const job = await jobs.enqueue('task')
  const claims = await claim()
  const calls = await during(['evalsha', 'publish', 'subscribe', 'unsubscribe'], async () => {
    const result = job.result(TOLD)
    await noted()
    await settle(claims)
    expect(await result).toBe('done')
  })
  expect(calls).toEqual([2, 1, 0, 0])
})

test('a job that has ended already is answered by the same call, and nobody is noted', async () => {
  const jobs = open().queue(name)
  const job = await jobs.enqueue('task')
  await settle(await claim())
  expect(await job.result(TOLD)).toBe('done')
  expect(await waiters()).toEqual([])
})

test('jobs for which nobody waits publish nothing, and ask once a call whether anybody waits', async () => {
  const jobs = open().queue(name)
  await jobs.enqueueMany(Array.from({ length: 50 }, () => ({ task: 'task' })))
  const claims = await claim(50)
  const [published, ...asked] = await during(['publish', 'exists', 'hget'], () => settle(claims))
  expect(published).toBe(0)
  expect(Math.max(...asked)).toBeLessThan(5)
  const result = (await jobs.enqueue('task')).result(TOLD)
  await noted()
  expect(await during(['publish'], async () => settle(await claim()))).toEqual([1])
  expect(await result).toBe('done')
})

test('every end of a job is told and leaves nothing noted: completed, buried, cancelled, deleted', async () => {
  const jobs = open().queue(name)
  const waitingFor = async (options: { delayMs?: number } = {}) => {
    const job = await jobs.enqueue('task', 1, options)
    const result = job.result(TOLD)
    await noted()
    return { job, outcome: result.catch((error) => error) }
  }
  const completed = await waitingFor()
  await settle(await claim())
  expect(await completed.outcome).toBe('done')
  const buried = await waitingFor()
  await settle(await claim(), 'terminal')
  expect(await buried.outcome).toBeInstanceOf(JobBuried)
  const cancelled = await waitingFor({ delayMs: 60_000 })
  await cancelled.job.cancel()
  expect(await cancelled.outcome).toBeInstanceOf(JobCancelled)
  const purged = await waitingFor({ delayMs: 60_000 })
  await queue.purge(['delayed'])
  expect(await purged.outcome).toBeInstanceOf(JobNotFound)
  expect(await waiters()).toEqual([])
})

test('a wait that times out takes its entry away, but not that of another wait of its client', async () => {
  const jobs = open().queue(name)
  const job = await jobs.enqueue('task', 1, { delayMs: 60_000 })
  const other = job.result(TOLD)
  await noted()
  const tooShort = job.result({ timeoutMs: 1 })
  await expect(tooShort).rejects.toBeInstanceOf(ResultTimeout)
  await expect(tooShort).rejects.toThrow(/has not ended within 1 ms; its state is delayed$/)
  expect(await waiters()).toHaveLength(2)
  await job.cancel()
  await expect(other).rejects.toBeInstanceOf(JobCancelled)
  const again = await jobs.enqueue('task', 1, { delayMs: 60_000 })
  await expect(again.result({ timeoutMs: 50 })).rejects.toBeInstanceOf(ResultTimeout)
  expect(await waiters()).toEqual([])
})

test('clients wait for one job together; more than 16 of them look again by themselves', async () => {
  const job = await open().queue(name).enqueue('task')
  for (let n = 0; n < 15; n += 1) expect(await queue.wait(job.id, `client-${n}`)).toBe('noted')
  const results = Array.from({ length: 3 }, () => open().queue(name).job(job.id).result(TOLD))
  await eventually(async () => (await waiters())[1]?.split(' ').filter(Boolean).length === 16)
  expect(await queue.wait(job.id, 'client-0')).toBe('noted')
  expect(await queue.wait(job.id, 'one-more')).toBe('unnoted')
  await settle(await claim())
  expect(await Promise.all(results)).toEqual(['done', 'done', 'done'])
  expect(await waiters()).toEqual([])
})

test('a Redis that is full notes nobody, and the result is found by looking again', async () => {
  const jobs = open().queue(name)
  const job = await jobs.enqueue('task')
  const claims = await claim()
  await admin.call('CONFIG', 'SET', 'maxmemory', '1')
  try {
    const result = job.result({ timeoutMs: 20_000 })
    await expect(job.result({ timeoutMs: 500 })).rejects.toBeInstanceOf(ResultTimeout)
    expect(await waiters()).toEqual([])
    await settle(claims)
    expect(await result).toBe('done')
  } finally {
    await admin.call('CONFIG', 'SET', 'maxmemory', '0')
  }
})

test('a user that may only read has the result, and its waits time out with the state', async () => {
  const reading = '+evalsha +eval +info +get +getrange +hget +hmget +hgetall +zscore +zrange +subscribe'
  const user = ['reader', 'reset', 'on', '>change-me', `~mh:{default.*`, '&mh:{default.*']
  await admin.call('ACL', 'SETUSER', ...user, ...reading.split(' '))
  const job = await open().queue(name).enqueue('task')
  const claims = await claim()
  const reader = open(server.url.replace('//', '//reader:change-me@')).queue(name).job(job.id)
  const result = reader.result({ timeoutMs: 20_000 })
  await expect(reader.result({ timeoutMs: 500 })).rejects.toThrow(/its state is held$/)
  expect(await waiters()).toEqual([])
  await settle(claims)
  expect(await result).toBe('done')
})

test('a message that was lost with the connection is made good when the subscription is renewed', async () => {
  const job = await open().queue(name).enqueue('task')
  const result = job.result(TOLD)
  await noted()
  const claims = await claim()
  // In one piece to the server: nobody can subscribe in between.
  await Promise.all([admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub'), settle(claims)])
  expect(await result).toBe('done')
})

test('a message that is lost without a word is made good when the wait looks again', async () => {
  const proxy = await FaultProxy.start(server.port)
  try {
    const job = await open(proxy.url).queue(name).enqueue('task')
    const result = job.result({ timeoutMs: 30_000 })
    await noted()
    const claims = await claim()
    proxy.blackHole(true)
    await settle(claims)
    await new Promise((resolve) => setTimeout(resolve, 100)) // the message is swallowed
    proxy.blackHole(false)
    expect(await result).toBe('done')
  } finally {
    await proxy.stop()
  }
}, 40_000)

test('what comes on the channel and is no outcome makes the wait look, and is not believed', async () => {
  const job = await open().queue(name).enqueue('task')
  const result = job.result(TOLD)
  await noted()
  const [, names = ''] = await waiters()
  const channel = `mh:{default.${name}}:ended:${names.trim()}`
  for (const message of [
    '',
    ' ',
    job.id,
    `${job.id} `,
    `${job.id} =c nonsense`,
    'other =c 1 1 1 task\n"forged"',
  ])
    expect(await admin.call('PUBLISH', channel, message)).toBe(1)
  await settle(await claim())
  expect(await result).toBe('done')
})
