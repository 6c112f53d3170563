// Works with BullMQ's Worker: in this process, or with a processor file in processes of its own. Arguments:
// host, port, jobs at once, in-process or sandboxed; where it is limited, how many jobs in how many ms.
import { fileURLToPath } from 'node:url'
import { type Job, Worker } from 'bullmq'
import type { Data } from '../node/producing.ts'
import { endWithStdin, perform, recordSoon } from '../node/recording.ts'

const [, , host = '', port = '', concurrency = '', kind = '', max, duration] = process.argv

async function inProcess({ data, attemptsMade }: Job<Data>): Promise<void> {
  recordSoon(data.n)
  await perform(data.n, attemptsMade + 1)
}

const sandboxed = fileURLToPath(new URL('./processor.js', import.meta.url))
const worker = new Worker<Data>('bench', kind === 'sandboxed' ? sandboxed : inProcess, {
  connection: { host, port: Number(port) },
  concurrency: Number(concurrency),
  removeOnComplete: { count: 1_000 },
  removeOnFail: { count: 5_000 },
  ...(max && { limiter: { max: Number(max), duration: Number(duration) } }),
})
worker.on('error', (error) => console.error(error.message))
process.on('SIGTERM', () => void worker.close().then(() => process.exit(0)))
endWithStdin()
await worker.waitUntilReady()
console.log('{"ready":true}')
