// Enqueues a thumbnail of every photo in every width and waits for them: the Job of kubernetes/enqueue.yaml runs it in the cluster.
// MILLHAND_REDIS_URL and MILLHAND_NAMESPACE say where the queue is.
import { connect } from 'millhand/client'
import type { thumbnail } from './tasks.ts'
import { ordersFor, photos } from './work.ts'

const client = connect()
const orders = ordersFor(await photos(), 1)
const jobs = await client.queue('thumbnails').enqueueMany<typeof thumbnail>(orders)
console.log(`enqueued ${jobs.length} jobs`)
const made = await Promise.all(jobs.map((job) => job.result({ timeoutMs: 300_000 })))
console.log(`${made.length} thumbnails are done, ${made.reduce((sum, { bytes }) => sum + bytes, 0)} bytes`)
client.close()
