// Those who watch: one look a second for all of them, none while nobody looks; a slow one is dropped with a reason; Redis may go and come back.

import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Snapshot } from '../../dashboard/src/api.ts'
import { Snapshot as SnapshotSchema } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { Viewers } from '../../dashboard/src/server/viewers.ts'
import { newJob } from '../../worker-runtime/src/job.ts'
import { openQueue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { eventually } from '../eventually.ts'
import { RedisServer } from '../redis-server.ts'
import { follow } from './events.ts'
import { type Served, serve, taskQueue } from './served.ts'

let redis: RedisServer
let served: Served
const open: { close(): void }[] = []

beforeEach(async () => {
  redis = await RedisServer.start()
  served = await serve({ redisUrl: redis.url, queues: ['mail', 'video', taskQueue('mail', {}, 'other')] })
})

afterEach(async () => {
  for (const each of open.splice(0)) each.close()
  served.stop()
  await redis.remove()
})

async function watch(path = 'stream') {
  const { reader } = await follow(served, path)
  if (!reader) throw new Error('it reads')
  open.push(reader)
  return reader
}

/** Calls of scripts since the last time it was asked. */
async function calls(): Promise<number> {
  const connection = connectRedis(redis.url)
  try {
    const text = String(await connection.call('INFO', 'commandstats'))
    await connection.call('CONFIG', 'RESETSTAT')
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(text)?.[1] ?? 0)
  } finally {
    connection.close()
  }
}

test('the first snapshot comes at once, the next when something has changed', async () => {
  const reader = await watch()
  await eventually(() => reader.events[0])
  const [first] = reader.of<Snapshot>('snapshot')
  expect(problemsOf(first, SnapshotSchema)).toEqual([])
  expect(first?.queues.map(({ namespace, name }) => `${namespace}/${name}`)).toEqual([
    'other/mail',
    'test/mail',
    'test/video',
  ])
  expect(reader.response.headers).toMatchObject({
    'content-type': 'text/event-stream; charset=utf-8',
    'x-accel-buffering': 'no',
  })
  // The second one knows the rates.
  await sleep(2_500)
  expect(reader.events).toHaveLength(2)
  await sleep(2_500)
  expect(reader.events).toHaveLength(2)
  const connection = connectRedis(redis.url)
  await openQueue(connection, 'test.mail').enqueue([newJob('noop', {})])
  connection.close()
  const changed = await eventually(() => reader.of<Snapshot>('snapshot')[2])
  expect(changed.queues[1]?.numbers).toMatchObject({ ready: 1, enqueued: 1 })
  expect(reader.events[2]?.id).toBe(String(changed.atMs))
}, 20_000)

test('fifty viewers cost the looks of one, and nobody none', async () => {
  await Promise.all(Array.from({ length: 50 }, () => watch()))
  await sleep(1_000)
  await calls()
  await sleep(5_000)
  // Three queues: one look a second each, and the workers each fifth second.
  const looks = await calls()
  expect(looks).toBeGreaterThanOrEqual(12)
  expect(looks).toBeLessThanOrEqual(24)
  for (const each of open.splice(0)) each.close()
  await sleep(1_500)
  await calls()
  await sleep(3_000)
  expect(await calls()).toBe(0)
}, 30_000)

test('calls that come together share a look', async () => {
  await served.get('snapshot')
  await sleep(1_000)
  await calls()
  await Promise.all(
    Array.from({ length: 30 }, (_, i) => served.get(i % 2 === 0 ? 'snapshot' : 'queues/test/mail')),
  )
  // Three queues, and the rests of the one whose page was asked for.
  expect(await calls()).toBeLessThanOrEqual(4)
})

test('while Redis is away the last numbers are shown with their time, and what is wrong; then all goes on', async () => {
  const reader = await watch()
  await eventually(() => reader.events[0])
  await redis.crash()
  const away = await eventually(
    () => reader.of<Snapshot>('snapshot').find(({ queues }) => queues.every(({ unread }) => unread)),
    { withinMs: 15_000 },
  )
  const [queue] = away.queues
  expect(queue).toMatchObject({
    numbers: { ready: 0 },
    unread: { reason: 'RedisUnreachable', message: expect.any(String) },
  })
  expect(queue?.unread?.sinceMs).toBeGreaterThanOrEqual(queue?.atMs ?? 0)
  expect(away.problems[0]).toMatchObject({ severity: 'error', code: 'RedisUnreachable' })
  const response = await served.call('GET', 'queues/test/mail/jobs')
  expect(response.status).toBe(503)
  const { error } = (await response.json()) as { error: { sinceMs: number; code: string } }
  expect(error).toMatchObject({ code: 'REDIS_UNAVAILABLE', sinceMs: expect.any(Number) })
  await redis.start()
  await eventually(
    () =>
      reader
        .of<Snapshot>('snapshot')
        .at(-1)
        ?.queues.every(({ unread }) => !unread),
    { withinMs: 20_000 },
  )
}, 60_000)

test('a viewer that does not read is told why, and dropped; memory stays bounded', async () => {
  let nowMs = 0
  const viewers = new Viewers({ nowMs: () => nowMs })
  const responses: ServerResponse[] = []
  const server = createServer((_, response) => responses.push(response))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  socket.pause()
  const response = await eventually(() => responses[0])
  const viewer = viewers.open(response, async () => undefined)
  const frame = Buffer.alloc(1_000_000, 'x')
  for (let i = 0; i < 50; i += 1) viewer.sendState(frame)
  await sleep(200)
  for (let i = 0; i < 50; i += 1) viewer.sendState(frame)
  expect(response.writableLength).toBeLessThanOrEqual(2_000_000)
  viewer.beat()
  expect(viewer.isOver).toBe(false)
  nowMs = 16_000
  viewer.beat()
  expect(viewer.isOver).toBe(true)
  let read = ''
  socket.on('data', (chunk) => {
    read += chunk
  })
  socket.resume()
  await once(socket, 'close')
  expect(read).toContain('event: end\ndata: {"code":"TOO_SLOW"')
  await eventually(() => viewers.size === 0)
  server.close()
}, 20_000)

test('a stream ends when the rights have changed, and there are at most so many', async () => {
  const viewers = new Viewers({ nowMs: () => nowMs, most: 1 })
  let nowMs = 0
  const server = createServer((_, response) => {
    try {
      viewers
        .open(response, async () => ({ status: 403, code: 'GONE', message: 'no more' }))
        .sendState(Buffer.from('data: 1\n\n'))
    } catch (error) {
      response.end(String(error))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const first = await fetch(url)
  expect(await (await fetch(url)).text()).toContain('1 streams are open')
  nowMs = 61_000
  expect(await first.text()).toContain('event: end\ndata: {"code":"GONE"')
  server.close()
}, 20_000)

test('the server tells its viewers when it stops', async () => {
  const reader = await watch()
  await eventually(() => reader.events[0])
  served.stop()
  await eventually(() => reader.of<{ code: string }>('end')[0]?.code === 'SERVER_STOPS')
})
