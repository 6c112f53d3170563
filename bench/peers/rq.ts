// RQ: its Worker, which forks for each job, its SimpleWorker, which does not, and its pool of Workers.
import { join } from 'node:path'
import type { Peer } from '../peer.ts'
import { atOnce, installPython, startPython, told } from './program.ts'

const VERSION = '3.0.0'
const QUEUE = 'rq:queue:default'

const folderOf = (cache: string): string => join(cache, `rq-${VERSION}`)

const shared: Pick<Peer, 'delivery' | 'install' | 'startProducer' | 'unsettled'> = {
  delivery: 'at least once',
  install: (cache) => installPython(folderOf(cache), 'rq', ['rq', 'redis', 'hiredis']),
  startProducer: (place) => startPython(folderOf(place.cache), 'rq', 'producer', told(place)),
  async unsettled(redis) {
    const counts = await Promise.all([
      redis.llen(QUEUE),
      redis.llen(`${QUEUE}:intermediate`),
      redis.zcard('rq:wip:default'),
      redis.zcard('rq:scheduled:default'),
    ])
    return counts.reduce((sum, count) => sum + count, 0)
  },
}

function startWorker(kind: 'worker' | 'simple' | 'pool', concurrencyOf: typeof atOnce): Peer['startWorker'] {
  return (place, options) =>
    startPython(folderOf(place.cache), 'rq', 'worker', {
      ...told(place, options),
      BENCH_KIND: kind,
      BENCH_CONCURRENCY: String(concurrencyOf(options)),
      ...(kind !== 'simple' && { BENCH_ONE_JOB_A_PROCESS: '1' }),
    })
}

const KEEPS =
  'results are kept for 500 s, its default; its scheduler runs beside it and counts in whole seconds, so that a delayed job may start up to one early'

export const rqPeers: Peer[] = [
  {
    ...shared,
    name: 'rq',
    title: 'RQ, Worker',
    remark: `one job at a time, each in a fork of the worker, which has loaded the task before; ${KEEPS}`,
    startWorker: startWorker('worker', () => 1),
  },
  {
    ...shared,
    name: 'rq-simple',
    title: 'RQ, SimpleWorker',
    remark: `one job at a time in the worker's own process, for short jobs as its docs say; ${KEEPS}`,
    startWorker: startWorker('simple', () => 1),
  },
  {
    ...shared,
    name: 'rq-pool',
    title: 'RQ, worker-pool',
    remark: `as many Workers as processors, more for jobs that wait; each forks for each job; ${KEEPS}`,
    startWorker: startWorker('pool', atOnce),
  },
]
