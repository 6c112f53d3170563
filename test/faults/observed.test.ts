// Events, error groups and history while workers are killed and Redis hangs: nothing is told twice or left out, and history is short of little.
import { fileURLToPath } from 'node:url'
import { connectRedis, newJob, openQueue, type QueueEvent } from 'millhand/queue'
import { census } from '../census.ts'
import { eventually } from '../eventually.ts'
import { RedisServer } from '../redis-server.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'

const TINY = fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))

test('what is told and counted agrees with what happened, whoever is killed', async () => {
  const server = await RedisServer.start()
  const redis = connectRedis(server.url)
  const queue = openQueue(redis, 'default.observed')
  const workers: WorkerProcess[] = []
  const work = async () => {
    const options = { redisUrl: server.url, queues: ['observed'], namespace: 'default', modules: [TINY] }
    workers.push(await startWorker({ ...options, slots: 4, isolation: 'Reuse' }))
  }
  const ender = new AbortController()
  const heard: QueueEvent[] = []
  try {
    const following = (async () => {
      for await (const event of queue.events({ everyMs: 50, signal: ender.signal })) heard.push(event)
    })()
    await eventually(
      async () => (await redis.call('HEXISTS', 'mh:{default.observed}:config', 'watchedUntilMs')) === 1,
    )
    await Promise.all([work(), work()])
    const jobs = Array.from({ length: 300 }, (_, n) =>
      n % 10 === 0
        ? newJob('throws', { message: `no user ${n}` }, { maxAttempts: 1 })
        : newJob('sleeps', { ms: 60 }),
    )
    await queue.enqueue(jobs)
    await new Promise((resolve) => setTimeout(resolve, 1_000)) // some have ended
    workers[0]?.kill('SIGKILL')
    server.freeze()
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    server.thaw()
    await work()
    await eventually(
      async () => {
        const { ready, delayed, busy } = await queue.depth()
        return ready + delayed + busy === 0
      },
      { withinMs: 60_000 },
    )
    await Promise.all(workers.slice(1).map((worker) => worker.stop()))
    const { counts } = await queue.depth()
    expect(counts.completed + counts.buried).toBe(300)
    const told = (kind: string) =>
      heard
        .flatMap(({ changes }) => changes)
        .reduce((sum, each) => sum + (each.kind === kind ? each.count : 0), 0)
    await eventually(() => told('completed') === counts.completed)
    for (const kind of ['enqueued', 'claimed', 'completed', 'buried', 'retried'] as const)
      expect([kind, told(kind)]).toEqual([kind, counts[kind]])
    expect(told('reaped')).toBe(0) // it names no jobs
    expect(heard.flatMap(({ changes }) => changes.map(({ kind }) => kind))).toContain('reaped')
    expect(heard.filter(({ isBehindGap }) => isBehindGap)).toEqual([])
    ender.abort()
    await following

    const { groups } = await queue.errors.list()
    const counted = Object.fromEntries(groups.map(({ outcome, count, buried }) => [outcome, [count, buried]]))
    expect(counted).toEqual({ failed: [30, 30], 'worker-lost': [counts.lost, 0] })
    const { columns } = await queue.history({ series: ['completed', 'failed'] })
    const [completed = 0, failed = 0] = columns.map(({ total }) => total ?? 0)
    expect(completed + failed).toBeLessThanOrEqual(300)
    expect(completed + failed).toBeGreaterThan(150)
    expect((await census(redis, queue.name)).problems).toEqual([])
  } finally {
    ender.abort()
    for (const worker of workers) worker.kill('SIGKILL')
    redis.close()
    await server.remove()
  }
}, 120_000)
