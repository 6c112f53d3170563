// Huey on Redis, as its consumer runs with threads.
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { atOnce, installPython, startPython, told } from './program.ts'

const VERSION = '3.5.4'

const folderOf = (cache: string): string => join(cache, `huey-${VERSION}`)

export const hueyPeers: Peer[] = [
  {
    name: 'huey',
    title: 'Huey',
    delivery: 'at most once',
    remark:
      'as many threads as processors in one process, more for jobs that wait; takes a job from Redis before it runs, so that starts are counted and a killed worker loses it; stores no result where a task returns none',
    install: (cache) => installPython(folderOf(cache), 'huey', ['huey', 'redis', 'hiredis']),
    startProducer: (place) => startPython(folderOf(place.cache), 'huey', 'producer', told(place)),
    startWorker: (place, options) =>
      startPython(folderOf(place.cache), 'huey', 'worker', {
        ...told(place, options),
        BENCH_CONCURRENCY: String(atOnce(options)),
      }),
    unsettled: undefined,
    waiting: (redis) => redis.llen('huey.redis.bench'),
  },
]
