// The last hour of all queues together: added up step by step, and asked for once however many look.
import { RecentHistory } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { addedUp } from '../../dashboard/src/server/recent.ts'
import { openQueue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { Monitor } from '../monitor.ts'
import { RedisServer } from '../redis-server.ts'
import { serve } from './served.ts'

const STEP_MS = 60_000

test('amounts are added, ages are not, and what nobody knows stays unknown', () => {
  const one = {
    stepMs: STEP_MS,
    times: [0, STEP_MS],
    columns: [
      { series: 'ready', values: [3, null], total: 3 },
      { series: 'oldestMs', values: [500, null], total: 500 },
    ],
  }
  // It was asked a step later.
  const other = {
    stepMs: STEP_MS,
    times: [STEP_MS, 2 * STEP_MS],
    columns: [
      { series: 'ready', values: [4, 5], total: 5 },
      { series: 'oldestMs', values: [100, 900], total: 900 },
    ],
  }
  const { times, columns } = addedUp([one, one, other], 0)
  const valuesOf = (name: string) => columns.find(({ series }) => series === name)?.values.slice(0, 4)
  expect(times.slice(0, 3)).toEqual([0, STEP_MS, 2 * STEP_MS])
  expect(valuesOf('ready')).toEqual([6, 4, 5, null])
  expect(valuesOf('oldestMs')).toEqual([500, 100, 900, null])
  const last = 3_600_000
  const done = {
    stepMs: STEP_MS,
    times: [last - STEP_MS, last],
    columns: [{ series: 'completed', values: [7, 1], total: 8 }],
  }
  expect(
    addedUp([done], 0)
      .columns.find(({ series }) => series === 'completed')
      ?.values.slice(-2),
  ).toEqual([7, null])
  expect(valuesOf('failed')).toEqual([null, null, null, null])
})

test('queues are asked once for all who look; one that cannot be read is left out', async () => {
  const redis = await RedisServer.start()
  const served = await serve({ redisUrl: redis.url, queues: ['mail', 'video', 'never-used'] })
  const connection = connectRedis(redis.url)
  try {
    for (const [name, ready] of [
      ['mail', 3],
      ['video', 4],
    ] as const) {
      const queue = openQueue(connection, `test.${name}`)
      await queue.sample({ ...(await queue.depth()), ready })
    }
    const monitor = await Monitor.start(redis.url)
    const all = await Promise.all(Array.from({ length: 10 }, () => served.get<RecentHistory>('history')))
    all.push(await served.get<RecentHistory>('history'))
    const { sent } = await monitor.take()
    monitor.stop()
    // An hour is six calls a queue, of 12 buckets each.
    expect(sent.filter((verb) => verb === 'history')).toHaveLength(18)
    for (const each of all) expect(each).toEqual(all[0])
    expect(problemsOf(all[0], RecentHistory)).toEqual([])
    const ready = all[0]?.columns.find(({ series }) => series === 'ready')
    expect([ready?.total, all[0]?.queues]).toEqual([7, 3])
  } finally {
    connection.close()
    served.stop()
    await redis.remove()
  }
}, 60_000)
