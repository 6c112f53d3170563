// Dramatiq on Redis, as its command line runs it: a process for each processor, with threads.
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { installPython, startPython, told } from './program.ts'

const VERSION = '2.2.1'
/** The defaults of its command line: `--processes`, `--threads`. */
const PROCESSES = availableParallelism()
const THREADS = 8
/**
 * By default 16 are prefetched and the consumer pauses whenever they are all there, which bounds the rate of
 * short jobs.
 */
const PREFETCH_OF_SHORT_TASKS = '64'

const folderOf = (cache: string): string => join(cache, `dramatiq-${VERSION}`)
const start = (place: Parameters<Peer['startWorker']>[0], program: 'producer' | 'worker', env = {}) =>
  startPython(folderOf(place.cache), 'dramatiq', program, env)

export const dramatiqPeers: Peer[] = [
  {
    name: 'dramatiq',
    title: 'Dramatiq',
    delivery: 'at least once',
    remark: `${PROCESSES} processes with ${THREADS} threads each (its defaults), more threads for jobs that wait; each process prefetches 64 jobs (dramatiq_queue_prefetch), which was faster here than its default; stores no results`,
    install: (cache) => installPython(folderOf(cache), 'dramatiq', ['dramatiq', 'redis', 'hiredis']),
    startProducer: (place) => start(place, 'producer', told(place)),
    startWorker: (place, options) =>
      start(place, 'worker', {
        ...told(place, options),
        BENCH_CONCURRENCY: String(PROCESSES),
        BENCH_THREADS: String(threadsFor(options)),
        ...(options.task !== 'sleeps-long' && { dramatiq_queue_prefetch: PREFETCH_OF_SHORT_TASKS }),
      }),
    // The text of a message is kept until it is acknowledged.
    async unsettled(redis) {
      const queues = ['dramatiq:default.msgs', 'dramatiq:default.DQ.msgs']
      const [due = 0, delayed = 0] = await Promise.all(queues.map((key) => redis.hlen(key)))
      return due + delayed
    },
  },
]

function threadsFor({ slots, task }: Parameters<Peer['startWorker']>[1]): number {
  return task === 'sleeps' || task === 'sleeps-long' ? Math.ceil(slots / PROCESSES) : THREADS
}
