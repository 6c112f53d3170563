// A program of counts.test.ts: says how many bytes of heap an enqueue takes and how many it keeps. Its heap is so large that nothing is
// collected in between (--min-semi-space-size), so that the numbers repeat. Argument: the Redis URL.
import { connect } from 'millhand/client'

const JOBS = 5_000
const client = connect({ redis: process.argv[2] ?? '', namespace: 'default' })
const queue = client.queue('counts')

async function bytesOf(enqueueAll: () => Promise<void>): Promise<{ taken: number; kept: number }> {
  for (let i = 0; i < 2; i += 1) await enqueueAll()
  const before = collected()
  await enqueueAll()
  const after = process.memoryUsage().heapUsed
  return { taken: (after - before) / JOBS, kept: (collected() - before) / JOBS }
}

function collected(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}

const alone = await bytesOf(async () => {
  for (let n = 0; n < JOBS; n += 1) await queue.enqueue('noop', { n })
})
const inBulk = await bytesOf(async () => {
  for (let from = 0; from < JOBS; from += 100)
    await queue.enqueueMany(Array.from({ length: 100 }, (_, i) => ({ task: 'noop', input: { n: from + i } })))
})
process.stdout.write(JSON.stringify({ alone, inBulk }))
client.close()
