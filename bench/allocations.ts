// What a worker allocates for a no-op job, by function. Unlike times, it is nearly the same on a busy
// machine.
// node --conditions=millhand-source bench/allocations.ts (half a minute)
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { connectRedis, newJob, openQueue, queueName } from 'millhand/queue'
import { millhandPeers, startRealWorker } from './peers/millhand.ts'
import { Program, stopEverything, stopWhenInterrupted, temporaryFolder } from './processes.ts'
import { Server } from './server.ts'
import { pause } from './steps.ts'

const JOBS = 20_000
const WARMING = 5_000
const A_CALL = 500
const SHOWN = 20

const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'millhand/bench')
mkdirSync(cache, { recursive: true })
stopWhenInterrupted()

try {
  await millhandPeers[0]?.install(cache)
  const bytes = Object.entries(await allocated())
  const aJob = (sum: number) => String(Math.round(sum / JOBS)).padStart(7)
  console.log(`${aJob(bytes.reduce((sum, [, size]) => sum + size, 0))}  bytes a job`)
  for (const [where, size] of bytes.sort(([, a], [, b]) => b - a).slice(0, SHOWN))
    console.log(`${aJob(size)}  ${where}`)
} finally {
  await stopEverything()
}
process.exit(0)

async function allocated(): Promise<Record<string, number>> {
  const server = await Server.start()
  const queue = openQueue(connectRedis(server.url), queueName('default', 'bench'))
  const records = temporaryFolder()
  const file = join(records, 'allocations.json')
  const worker = await new Program(
    startRealWorker(
      { cache, redisUrl: server.url, records },
      {
        mode: 'Reuse',
        children: 2,
        slots: 32,
        task: 'no-op',
        preload: 'sampling',
        env: { BENCH_ALLOCATIONS: file },
      },
    ),
    'worker',
  ).ready()
  const drain = async (jobs: number) => {
    for (let at = 0; at < jobs; at += A_CALL)
      await queue.enqueue(
        Array.from({ length: A_CALL }, (_, n) => newJob('no-op', { n: at + n, attempt: 1 })),
      )
    while (await isBusy()) await pause(20)
  }
  const isBusy = async () => {
    const { ready, delayed, busy } = await queue.depth()
    return ready + delayed + busy > 0
  }
  await drain(WARMING)
  process.kill(worker.pid, 'SIGUSR2')
  await drain(JOBS)
  process.kill(worker.pid, 'SIGUSR2')
  while (!existsSync(file)) await pause(50)
  await worker.stop()
  queue.redis.close()
  await server.stop()
  return JSON.parse(readFileSync(file, 'utf8'))
}
