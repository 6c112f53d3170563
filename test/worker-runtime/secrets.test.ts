// A job runs as the user that its worker runs as, and has none of its secrets all the same.
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { connect } from '../../worker-runtime/src/client/client.ts'
import { redisUrl } from '../redis.ts'
import { startWorker } from '../worker-process.ts'

jest.setTimeout(120_000) // real processes, on a machine that may be busy

const READS_FILE = fileURLToPath(new URL('../tasks/reads-file.ts', import.meta.url))
const NOBODY = 65534
const isRoot = process.getuid?.() === 0
/** Root with all capabilities reads everything. */
const uid = isRoot ? NOBODY : undefined

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux(
  'a job cannot read in /proc how its worker reaches Redis, nor does its own environment tell',
  async () => {
    const queue = 'secrets'
    const worker = await startWorker({
      redisUrl: redisUrl(),
      queues: [queue],
      modules: [READS_FILE],
      isolation: 'Spawn',
      uid,
    })
    const client = connect({ redis: redisUrl(), namespace: 'test' })
    const read = async (path: string) => {
      const job = await client.queue(queue).enqueue('reads-file', { path })
      return job.result({ timeoutMs: 60_000 })
    }
    expect(await read(`/proc/${worker.pid}/environ`)).toBe('EACCES')
    expect(await read(`/proc/${worker.pid}/maps`)).toBe('EACCES')
    expect(await read(`/proc/${worker.pid}/cmdline`)).not.toContain('redis:')
    expect(await read('/proc/self/environ')).not.toContain('MILLHAND_REDIS_URL')
    client.close()
    expect((await worker.stop()).code).toBe(0)
  },
)
