// BullMQ: its Worker in one process at 100 jobs at once and at one, and sandboxed with a processor file.
import { join } from 'node:path'
import type { Peer, Place, WorkerOptions } from '../peer.ts'
import { installPackages, installPrograms, startNode } from './node-package.ts'

const VERSIONS = { bullmq: '6.7.0', ioredis: '6.0.0' }

const folderOf = (cache: string): string => join(cache, `bullmq-${VERSIONS.bullmq}`)

async function install(cache: string): Promise<Record<string, string>> {
  installPackages(folderOf(cache), VERSIONS)
  installPrograms(folderOf(cache), 'bullmq')
  return VERSIONS
}

function start(
  place: Place,
  program: string,
  args: (string | number)[],
  task: WorkerOptions['task'] = 'no-op',
) {
  const { hostname, port } = new URL(place.redisUrl)
  return startNode(
    [join(folderOf(place.cache), `bullmq/${program}.js`), hostname, port, ...args.map(String)],
    {
      BENCH_RECORDS: place.records,
      BENCH_TASK: task,
    },
  )
}

const shared: Omit<Peer, 'name' | 'title' | 'remark' | 'startWorker'> = {
  delivery: 'at least once',
  install,
  startProducer: (place) => start(place, 'producer', []),
  async unsettled(redis) {
    const lists = redis.multi()
    for (const list of ['wait', 'active', 'paused']) lists.llen(`bull:bench:${list}`)
    for (const set of ['delayed', 'prioritized']) lists.zcard(`bull:bench:${set}`)
    return ((await lists.exec()) ?? []).reduce((sum, [, answer]) => sum + Number(answer), 0)
  },
}
const KEEPS = 'keeps the last 1,000 results (removeOnComplete, as its docs advise)'

export const bullmqPeers: Peer[] = [
  {
    ...shared,
    name: 'bullmq',
    title: 'BullMQ, 100 at once',
    remark: `jobs run in the worker's own process, 100 at once whatever the scenario asks; ${KEEPS}`,
    startWorker: (place, { task, rate }) =>
      start(place, 'worker', [100, 'in-process', ...(rate ? [rate.jobs, rate.periodMs] : [])], task),
  },
  {
    ...shared,
    name: 'bullmq-1',
    title: 'BullMQ, one at once',
    remark: `jobs run in the worker's own process, one after the other; ${KEEPS}`,
    startWorker: (place, { task }) => start(place, 'worker', [1, 'in-process'], task),
  },
  {
    ...shared,
    name: 'bullmq-sandboxed',
    title: 'BullMQ, sandboxed',
    remark: `as many processes as jobs at once, used again and again; ${KEEPS}`,
    startWorker: (place, { slots, task }) => start(place, 'worker', [slots, 'sandboxed'], task),
  },
]
