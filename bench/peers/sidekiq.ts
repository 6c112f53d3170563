// Sidekiq, as Debian packages it: one process with its ten threads.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Peer } from '../peer.ts'
import { programsOf, start, told } from './program.ts'

const THREADS = 10
const program = (name: string): string => join(programsOf('sidekiq'), name)

export const sidekiqPeers: Peer[] = [
  {
    name: 'sidekiq',
    title: 'Sidekiq',
    delivery: 'at most once',
    remark: `one process with ${THREADS} threads, its default, more for jobs that wait; takes a job from Redis before it runs, so that starts are counted and a killed worker loses it (its paid form does not); stores no results; version and Ruby of the distribution`,
    async install() {
      const ask = 'require "sidekiq"; puts Sidekiq::VERSION, RUBY_VERSION'
      const asked = await promisify(execFile)('ruby', ['-e', ask]).catch(() => {
        throw new Error('no Sidekiq for the ruby on the PATH; apt install ruby-sidekiq')
      })
      const [sidekiq = 'unknown', ruby = 'unknown'] = asked.stdout.trim().split('\n')
      return { sidekiq, ruby }
    },
    startProducer: (place) => start('ruby', [program('producer.rb')], told(place)),
    startWorker(place, options) {
      const threads = options.task === 'sleeps' ? options.slots : THREADS
      const args = ['-e', 'production', '-c', String(threads), '-r', program('job.rb')]
      return start('sidekiq', args, told(place, options))
    },
    unsettled: undefined,
    waiting: (redis) => redis.llen('queue:default'),
  },
]
