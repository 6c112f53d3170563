// Gearman: gearmand of the distribution as a server of its own, with a worker and a producer on Node.
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Peer, Place } from '../peer.ts'
import { installPackages, installPrograms, startNode } from './node-package.ts'
import { start } from './program.ts'

const folderOf = (cache: string): string => join(cache, `gearman-${process.versions.node}`)
const program = ({ cache }: Place, name: string) => join(folderOf(cache), `gearman/${name}.js`)
const portOf = ({ serverPort }: Place): string => String(serverPort)

export const gearmanPeers: Peer[] = [
  {
    name: 'gearman',
    title: 'Gearman',
    delivery: 'at least once',
    remark:
      'gearmand of the distribution keeps jobs in its memory alone, so that its end loses what waits; the worker is a process of Node with a connection for each job at once, of which the server wakes one a job (`--worker-wakeup=1`), faster here than its default; a result goes to the caller that waits for it and is kept nowhere',
    async install(cache) {
      const asked = await promisify(execFile)('gearmand', ['--version']).catch(() => {
        throw new Error('no gearmand on the PATH; apt install gearman-job-server')
      })
      installPackages(folderOf(cache), {})
      installPrograms(folderOf(cache), 'gearman')
      return { gearmand: /gearmand (\S+)/.exec(asked.stdout)?.[1] ?? 'unknown' }
    },
    startServer: (port) =>
      start(
        'gearmand',
        ['--listen=127.0.0.1', `--port=${port}`, '--log-file=stderr', '--verbose=FATAL', '--worker-wakeup=1'],
        {},
      ),
    startProducer: (place) => startNode([program(place, 'producer'), portOf(place)]),
    startWorker: (place, { slots, task }) =>
      startNode([program(place, 'worker'), portOf(place), String(slots)], {
        BENCH_RECORDS: place.records,
        BENCH_TASK: task,
      }),
    unsettled: (_redis, { serverPort = 0 }) => jobsIn(serverPort),
  },
]

/** One connection for all questions to a server; it ends with the server. */
const administered = new Map<number, Socket>()

/** `status` answers a line a function, "name, jobs, running, workers" with tabs, and ends with a dot. */
async function jobsIn(port: number): Promise<number> {
  let socket = administered.get(port)
  if (!socket) {
    socket = connect(port, '127.0.0.1').setEncoding('utf8')
    socket.on('error', () => {}).once('close', () => administered.delete(port))
    administered.set(port, socket)
  }
  socket.write('status\n')
  let text = ''
  while (!/^\.\n/m.test(text)) text += (await once(socket, 'data'))[0]
  return Number(/^bench\t(\d+)/m.exec(text)?.[1] ?? 0)
}
