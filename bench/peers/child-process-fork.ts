// No queue: Node starts a process for each job. The baseline for a fresh process a job.
import { join } from 'node:path'
import type { Peer, Place } from '../peer.ts'
import { installPackages, installPrograms, startNode } from './node-package.ts'

const VERSIONS = { ioredis: '6.0.0' }
const folderOf = (cache: string): string => join(cache, `child-process-fork-${process.versions.node}`)
const program = ({ cache }: Place, name: string) => join(folderOf(cache), `child-process-fork/${name}.js`)

/** `module` is loaded in each process before the job. */
export function startPool(place: Place, slots: number, module = '') {
  return startNode([program(place, 'pool'), place.redisUrl, String(slots), module], {
    BENCH_RECORDS: place.records,
    BENCH_ONE_JOB: '1',
  })
}

export const childProcessForkPeers: Peer[] = [
  {
    name: 'child-process-fork',
    title: 'child_process.fork',
    delivery: 'at most once',
    remark:
      'no queue: one process after the other, so many at a time, with nothing but a number on the command line',
    async install(cache) {
      installPackages(folderOf(cache), VERSIONS)
      installPrograms(folderOf(cache), 'child-process-fork')
      return { node: process.versions.node }
    },
    startProducer: (place) => startNode([program(place, 'producer'), place.redisUrl]),
    startWorker: (place, { slots }) => startPool(place, slots),
    unsettled: async (redis) => Number(await redis.get('bench:left')),
  },
]
