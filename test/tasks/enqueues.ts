// A task that enqueues. Its module has asked for an id when it loaded, too.
import { connect } from '../../worker-runtime/src/client/client.ts'
import { task } from '../../worker-runtime/src/index.ts'
import { newJobId } from '../../worker-runtime/src/job-id.ts'

export const atLoad = newJobId()
const loadedAtMs = Date.now()

export const enqueues = task(
  'enqueues',
  async ({ redis, queue, isFrozen }: { redis: string; queue: string; isFrozen: boolean }) => {
    if (isFrozen) Date.now = () => loadedAtMs
    const client = connect({ redis, namespace: 'test' })
    const job = await client.queue(queue).enqueue('noop', null)
    client.close()
    return [job.id, job.enqueued]
  },
)
