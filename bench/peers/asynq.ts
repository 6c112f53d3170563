// Asynq, a queue for Go: as it comes, and told to look for jobs more often.
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { installGo, start, told } from './program.ts'

const VERSION = '0.26.0'
const EAGER = { taskCheckMs: 10, delayedCheckMs: 1_000 }

const folderOf = (cache: string): string => join(cache, `asynq-${VERSION}`)
const programOf = (cache: string): string => join(folderOf(cache), 'asynq')

const shared: Pick<Peer, 'delivery' | 'install' | 'startProducer' | 'unsettled'> = {
  delivery: 'at least once',
  install: async (cache) => ({ asynq: VERSION, go: await installGo(folderOf(cache), 'asynq') }),
  startProducer: (place) => start(programOf(place.cache), ['producer'], told(place)),
  async unsettled(redis) {
    const key = (name: string) => `asynq:{default}:${name}`
    const counts = await Promise.all([
      redis.llen(key('pending')),
      redis.llen(key('active')),
      redis.zcard(key('scheduled')),
      redis.zcard(key('retry')),
    ])
    return counts.reduce((sum, count) => sum + count, 0)
  },
}

function startWorker(env: Record<string, string>): Peer['startWorker'] {
  return (place, options) =>
    start(programOf(place.cache), ['worker'], {
      ...told(place, options),
      BENCH_CONCURRENCY: String(options.slots),
      ...env,
    })
}

const SAME = 'a goroutine a job, as many at once as the scenario asks; stores no results'

export const asynqPeers: Peer[] = [
  {
    ...shared,
    name: 'asynq',
    title: 'Asynq',
    remark: `${SAME}; by default it looks at an empty queue once a second and for jobs that have become due every 5 s`,
    startWorker: startWorker({}),
  },
  {
    ...shared,
    name: 'asynq-eager',
    title: 'Asynq, looking often',
    remark: `${SAME}; looks at an empty queue every ${EAGER.taskCheckMs} ms (TaskCheckInterval) and for jobs that have become due every second`,
    startWorker: startWorker({
      BENCH_TASK_CHECK_MS: String(EAGER.taskCheckMs),
      BENCH_DELAYED_CHECK_MS: String(EAGER.delayedCheckMs),
    }),
  },
]
