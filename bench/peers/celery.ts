// Celery on Redis: its prefork pool, its solo pool, and the prefork pool with late acknowledgement.
import { join } from 'node:path'
import type { Peer, WorkerOptions } from '../peer.ts'
import { atOnce, installPython, startPython, told } from './program.ts'

const VERSION = '5.7.0'
/**
 * https://docs.celeryq.dev/en/stable/userguide/optimizing.html#prefetch-limits: "Say 64, or 128" for short
 * tasks.
 */
const PREFETCH_OF_SHORT_TASKS = '64'

const folderOf = (cache: string): string => join(cache, `celery-${VERSION}`)

const shared: Pick<Peer, 'install' | 'startProducer' | 'unsettled'> = {
  install: (cache) => installPython(folderOf(cache), 'celery', ['celery', 'kombu', 'redis', 'hiredis']),
  startProducer: (place) => startPython(folderOf(place.cache), 'celery', 'producer', told(place)),
  // A message that a worker has prefetched, or holds for later, is in `unacked`.
  async unsettled(redis) {
    const [waiting, held] = await Promise.all([redis.llen('celery'), redis.hlen('unacked')])
    return waiting + held
  },
}

function startWorker(pool: string, env: Record<string, string> = {}): Peer['startWorker'] {
  return (place, options) =>
    startPython(folderOf(place.cache), 'celery', 'worker', {
      ...told(place, options),
      BENCH_POOL: pool,
      BENCH_CONCURRENCY: String(pool === 'solo' ? 1 : atOnce(options)),
      ...prefetch(options),
      ...env,
    })
}

const prefetch = ({ task }: WorkerOptions): Record<string, string> =>
  task === 'sleeps-long' ? {} : { BENCH_PREFETCH: PREFETCH_OF_SHORT_TASKS }

const STORES =
  'it prefetches 64 jobs a process and stores no results (ignore_result), both as its docs advise'
const RETURNS = "a killed worker's jobs come back after an hour (visibility_timeout)"
const STARTS = 'a job is acknowledged when it starts, so that starts are counted and a killed worker loses it'

export const celeryPeers: Peer[] = [
  {
    ...shared,
    name: 'celery-prefork',
    title: 'Celery, prefork',
    delivery: 'at most once',
    remark: `as many processes as processors (its default), more for jobs that wait; ${STORES}; ${STARTS}`,
    startWorker: startWorker('prefork'),
  },
  {
    ...shared,
    name: 'celery-solo',
    title: 'Celery, solo',
    delivery: 'at least once',
    remark: `one job at a time in the worker's own process, acknowledged only when that has time for it, after the job; ${STORES}; ${RETURNS}`,
    startWorker: startWorker('solo'),
  },
  {
    ...shared,
    name: 'celery-acks-late',
    title: 'Celery, prefork, task_acks_late',
    delivery: 'at least once',
    remark: `as prefork, but a job is acknowledged when it has ended, and one a process is prefetched, as its docs advise; ${RETURNS}`,
    startWorker: startWorker('prefork', { BENCH_ACKS_LATE: '1', BENCH_PREFETCH: '1' }),
  },
]
