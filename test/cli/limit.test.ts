// millhand limit: other limits while jobs run, and millhand enqueue --key.
import { type Connection, connectRedis, openQueue, type Queue } from 'millhand/queue'
import { RedisServer } from '../redis-server.ts'
import { millhand, PATIENCE_MS } from './millhand.ts'

let server: RedisServer
let redis: Connection
let queue: Queue
beforeAll(async () => {
  server = await RedisServer.start()
  redis = connectRedis(server.url)
  queue = openQueue(redis, 'default.mail')
})
afterAll(async () => {
  redis.close()
  await server.remove()
})
const run = (...args: string[]) => millhand([...args, '--redis', server.url])

test(
  'gives limits to a key, shows what holds it back, lists them, and takes them away',
  async () => {
    expect(await run('enqueue', 'mail', 'send', 'null', '--key', 'acme')).toMatchObject({ code: 0 })
    expect(await run('limit', 'mail', '--key', 'acme', '--max-busy', '10', '--rate', '600/m')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(
        /key acme of default\.mail: 0 running, 1 ready\nits limits: 10 running; 600 in 60s, 60 at once[\s\S]*KEY +GIVEN LIMITS\nacme +10 running/,
      ),
    })
    expect(await queue.listLimits()).toEqual([
      { key: 'acme', limits: { maxBusy: 10, rate: { jobs: 600, periodMs: 60_000, burst: 60 } } },
    ])
    const { stdout } = await run('limit', 'mail', '--key', 'acme', '--max-busy', '0', '--json')
    expect(JSON.parse(stdout)).toMatchObject({
      queue: 'default.mail',
      key: 'acme',
      isBlocked: true,
      waiting: 1,
    })
    expect((await run('queues', 'mail')).stdout).toMatch(/READY +BLOCKED[\s\S]*mail +1 +1 +0/)
    expect(await run('limit', 'mail', '--key', 'acme', '--remove')).toMatchObject({ code: 0 })
    expect(await queue.listLimits()).toEqual([])
  },
  PATIENCE_MS,
)

test.each([
  [['--rate', '100'], 2, /It is a number of jobs and a time, like 100\/s/],
  [['--burst', '5'], 1, /--burst belongs to a rate/],
  [['--remove', '--max-busy', '1'], 1, /give limits or --remove, not both/],
  [['--max-length', '1'], 1, /maxLength and whenAtLimit are limits of a key: name one/],
  [['--key', 'a b', '--max-busy', '1'], 1, /invalid key "a b"/],
])(
  '%j is refused with the remedy',
  async (args, code, message) => {
    expect(await run('limit', 'mail', ...args)).toMatchObject({
      code,
      stderr: expect.stringMatching(message),
    })
  },
  PATIENCE_MS,
)
