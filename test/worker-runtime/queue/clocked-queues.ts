// A queue of its own for each test of a file, whose clock stands still until the test sets it, with the worker p:1,
// which is registered. Behind each test the census finds every id in one place, and every counter right.
import { type Connection, connectRedis, openQueue, prefixOf, type Queue } from 'millhand/queue'
import { loadScripts } from '../../../worker-runtime/src/queue/scripts.ts'
import { census } from '../../census.ts'
import { redisUrl } from '../../redis.ts'

const CLOCK =
  "{ math.floor(redis.call('GET', KEYS[1] .. 'clock') / 1000), redis.call('GET', KEYS[1] .. 'clock') % 1000 * 1000 }"
export const scripts = loadScripts({ clock: CLOCK })
export const BEGIN_MS = 1_000_000_000_000
export const NOTHING = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }

/** The clock of a queue that is opened with these scripts. */
export const setClock = (redis: Connection, { name }: Pick<Queue, 'name'>, ms: number): Promise<unknown> =>
  redis.call('SET', `${prefixOf(name)}clock`, ms)

/** `prepare` comes before the worker. Answers a function that sets the clock, in ms behind BEGIN_MS. */
export function clockedQueues(
  name: string,
  use: (queue: Queue, redis: Connection) => void,
  prepare: (queue: Queue) => Promise<unknown> = async () => {},
): (ms: number) => Promise<unknown> {
  let redis: Connection
  let queue: Queue
  let queues = 0
  const at = (ms: number) => setClock(redis, queue, BEGIN_MS + ms)
  beforeAll(async () => {
    redis = connectRedis(redisUrl())
    await redis.ready()
  })
  afterAll(() => redis.close())
  beforeEach(async () => {
    queues += 1
    queue = openQueue(redis, `${name}.${process.pid}-${queues}`, scripts)
    use(queue, redis)
    await at(0)
    await prepare(queue)
    await queue.register({ ...NOTHING, worker: 'p:1', process: 'p', podUid: 'u', slots: 100 })
  })
  afterEach(async () => {
    expect((await census(redis, queue.name)).problems).toEqual([])
  })
  return at
}
