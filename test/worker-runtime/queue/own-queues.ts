// A queue of its own for each test of a file, with the worker p:1, which is registered. Behind each test the census
// finds every id in one place, and every counter right.
import { type Connection, connectRedis, openQueue, type Queue } from 'millhand/queue'
import { census } from '../../census.ts'
import { redisUrl } from '../../redis.ts'

interface WorkerOfTests {
  slots: number
  isolation: string
  version: string
}

export function ownQueues(
  name: string,
  worker: WorkerOfTests,
  use: (queue: Queue, redis: Connection) => void,
): void {
  let redis: Connection
  let queue: Queue
  let tests = 0
  beforeAll(() => {
    redis = connectRedis(redisUrl())
  })
  afterAll(() => redis.close())
  beforeEach(async () => {
    tests += 1
    queue = openQueue(redis, `${name}.${process.pid}-${tests}`)
    await queue.register({
      ...{ worker: 'p:1', process: 'p', podUid: 'u', pod: '', poolUid: '', node: '', isolationNote: '' },
      ...worker,
    })
    use(queue, redis)
  })
  afterEach(async () => {
    expect((await census(redis, queue.name)).problems).toEqual([])
  })
}
