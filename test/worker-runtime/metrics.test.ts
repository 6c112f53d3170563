// What Prometheus reads from a worker: that it is right, well-formed, bounded, and that it costs the children nothing.
import { fileURLToPath } from 'node:url'
import type { Outcome } from '../../worker-runtime/src/child/outcome.ts'
import { connect } from '../../worker-runtime/src/client/client.ts'
import { createMetrics } from '../../worker-runtime/src/metrics.ts'
import { run } from '../cluster/run.ts'
import { promtool } from '../cluster/tools.ts'
import { eventually } from '../eventually.ts'
import { freePort } from '../free-port.ts'
import { redisUrl } from '../redis.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'

const tasks = (name: string) => fileURLToPath(new URL(`../tasks/${name}.ts`, import.meta.url))
const facts = { startedAtMs: 0, durationMs: 1_500, cpuUserMs: 200, cpuSystemMs: 50 }
const succeeded: Outcome = { kind: 'succeeded', result: '1', facts }
const options = { slots: 3, queues: new Map([['test.mail', 'mail']]), nowMs: () => 5_000 }

test('an attempt is counted by the name of its TaskQueue, its task and how it ended', async () => {
  const metrics = createMetrics(options)
  metrics.claimed('test.mail', 3_000)
  metrics.claimed('test.mail', 9_000)
  metrics.ended('test.mail', 'send', succeeded)
  metrics.ended('test.mail', 'send', {
    kind: 'timed-out',
    message: '',
    facts: { startedAtMs: 0, durationMs: 500 },
  })
  metrics.ended('test.mail', 'send', {
    kind: 'could-not-start',
    message: '',
    facts: { startedAtMs: 0, durationMs: 0 },
  })
  metrics.refused('test.mail')
  const page = await metrics.page()
  const seen = valuesOf(page.text)
  expect(seen).toMatchObject({
    'millhand_refused_settlements_total{queue="mail"}': 1,
    'millhand_jobs_total{queue="mail",task="send",outcome="completed"}': 1,
    'millhand_jobs_total{queue="mail",task="send",outcome="timed-out"}': 1,
    'millhand_jobs_total{queue="mail",task="send",outcome="could-not-start"}': 1,
    'millhand_job_duration_seconds_count{queue="mail",task="send"}': 2,
    'millhand_job_duration_seconds_sum{queue="mail",task="send"}': 2,
    'millhand_job_cpu_seconds_total{queue="mail",task="send"}': 0.25,
    'millhand_job_wait_seconds_sum{queue="mail"}': 2, // a clock that is behind makes no negative time
    'millhand_job_wait_seconds_count{queue="mail"}': 2,
    millhand_worker_slots: 3,
  })
})

test('above a hundred names of tasks the others share one', async () => {
  const metrics = createMetrics(options)
  for (let number = 0; number < 150; number += 1) metrics.ended('test.mail', `task-${number}`, succeeded)
  metrics.ended('test.mail', 'task-7', succeeded)
  const { text } = await metrics.page()
  const names = new Set([...text.matchAll(/millhand_jobs_total\{.*task="([^"]+)"/g)].map(([, name]) => name))
  expect(names.size).toBe(101)
  const seen = valuesOf(text)
  expect(seen['millhand_jobs_total{queue="mail",task="other",outcome="completed"}']).toBe(50)
  expect(seen['millhand_jobs_total{queue="mail",task="task-7",outcome="completed"}']).toBe(2)
})

test('what is not known is absent, not zero', async () => {
  const metrics = createMetrics(options)
  let rssBytes: number | undefined = 4_096
  metrics.watch({ busySlots: () => 2, isRedisUp: () => false, zygoteRssBytes: () => rssBytes })
  expect(valuesOf((await metrics.page()).text)).toMatchObject({
    millhand_worker_busy_slots: 2,
    millhand_worker_redis_up: 0,
    millhand_zygote_rss_bytes: 4_096,
  })
  rssBytes = undefined
  expect(valuesOf((await metrics.page()).text)).not.toHaveProperty('millhand_zygote_rss_bytes')
})

describe('a worker', () => {
  const client = connect({ redis: redisUrl(), namespace: 'test' })
  let worker: WorkerProcess | undefined
  afterEach(async () => {
    await worker?.stop()
  })
  afterAll(() => client.close())

  test('its page has what it ran, under the name of the TaskQueue, and promtool has nothing to say against it', async () => {
    const port = await freePort()
    worker = await startWorker({
      redisUrl: redisUrl(),
      queues: [],
      modules: [tasks('tiny')],
      env: {
        MILLHAND_HTTP_PORT: String(port),
        MILLHAND_QUEUES: '[{"name":"metrics","queueName":"test.called-otherwise"}]',
      },
    })
    const queue = client.queue('called-otherwise')
    await Promise.all([
      queue.enqueue('noop', null),
      queue.enqueue('noop', null),
      queue.enqueue('throws-terminal', null),
      queue.enqueue('kills-itself', { signal: 'SIGKILL' }, { maxAttempts: 1 }),
      queue.enqueue('sleeps', { ms: 60_000 }, { maxAttempts: 1, timeoutMs: 200 }),
    ])
    const scrape = () => fetch(`http://127.0.0.1:${port}/metrics`).then((response) => response.text())
    const count = (task: string, outcome: string) =>
      `millhand_jobs_total{queue="metrics",task="${task}",outcome="${outcome}"}`
    await eventually(async () => {
      expect(valuesOf(await scrape())).toMatchObject({
        [count('noop', 'completed')]: 2,
        [count('throws-terminal', 'failed')]: 1,
        [count('kills-itself', 'killed')]: 1,
        [count('sleeps', 'timed-out')]: 1,
        'millhand_job_wait_seconds_count{queue="metrics"}': 5,
        millhand_worker_busy_slots: 0,
        millhand_worker_slots: 2,
        millhand_worker_redis_up: 1,
      })
      return true
    })
    const text = await scrape()
    const seen = valuesOf(text)
    expect(seen['millhand_job_cpu_seconds_total{queue="metrics",task="noop"}']).toBeGreaterThan(0)
    expect(seen.millhand_fork_seconds_count).toBeGreaterThanOrEqual(5)
    expect(seen.millhand_zygote_rss_bytes).toBeGreaterThan(2 ** 24)
    expect(seen.process_resident_memory_bytes).toBeGreaterThan(2 ** 24)
    await run([await promtool(), 'check', 'metrics'], { stdin: text })
  }, 120_000)

  test.each(['Fork', 'Spawn', 'Reuse'] as const)(
    'a child (%s) never loads what counts',
    async (isolation) => {
      worker = await startWorker({
        redisUrl: redisUrl(),
        queues: [`metrics-${isolation.toLowerCase()}`],
        modules: [tasks('tells-modules')],
        isolation,
        env: { MILLHAND_HTTP_PORT: String(await freePort()) },
      })
      const job = await client
        .queue(`metrics-${isolation.toLowerCase()}`)
        .enqueue('tells-modules', { name: 'prom-client' })
      expect(await job.result({ timeoutMs: 30_000 })).toEqual({ before: false, after: true })
    },
    60_000,
  )
})

/** Series → value. */
function valuesOf(text: string): Record<string, number> {
  const lines = text.split('\n').filter((line) => line && !line.startsWith('#'))
  return Object.fromEntries(
    lines.map((line) => [
      line.slice(0, line.lastIndexOf(' ')),
      Number(line.slice(line.lastIndexOf(' ') + 1)),
    ]),
  )
}
