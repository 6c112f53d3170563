// Names and payloads that somebody else chose come through the API as they are, bounded, and change nothing else.
import { connect } from 'node:net'
import { connect as createClient, flow } from 'millhand/client'
import type { Job, JobsPage, JsonText } from '../../dashboard/src/api.ts'
import { newJob } from '../../worker-runtime/src/job.ts'
import { openQueue, type Queue } from '../../worker-runtime/src/queue/queue.ts'
import { connectRedis } from '../../worker-runtime/src/redis/reconnect.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { type Served, serve } from './served.ts'

const NAME = `hostile-${process.pid}`
const JOBS = `queues/test/${NAME}/jobs`
const redis = connectRedis(redisUrl())
const queue: Queue = openQueue(redis, `test.${NAME}`)
let served: Served

beforeAll(async () => {
  served = await serve({ redisUrl: redisUrl(), queues: [NAME] })
})

afterAll(() => {
  served.stop()
  redis.close()
})

const HOSTILE = [
  '<img src=x onerror=alert(1)>',
  'javascript:alert(1)',
  '‮abc',
  '\u0000',
  '../../etc',
  '%2f..%2f',
  '"}],"x":[{',
]

test.each(HOSTILE.map((text) => [JSON.stringify(text), text]))('a payload of %s', async (_, text) => {
  const job = newJob('noop', { text, big: 1 })
  await queue.enqueue([job])
  const payload = await served.get<JsonText>(`${JOBS}/${job.id}/payload`)
  expect(JSON.parse(payload.text)).toEqual({ text, big: 1 })
  expect(payload.isRedacted).toBe(false)
})

test('a payload is cut at 64 KB, between two characters', async () => {
  const job = newJob('noop', '€'.repeat(80_000))
  await queue.enqueue([job])
  const payload = await served.get<JsonText>(`${JOBS}/${job.id}/payload`)
  expect(payload).toMatchObject({ isCut: true, bytes: 240_002 })
  expect(Buffer.byteLength(payload.text)).toBeLessThanOrEqual(65_536)
  expect(payload.text).toMatch(/^"€+$/)
})

test('numbers that JavaScript cannot hold stay exact, and secrets are hidden', async () => {
  const job = { ...newJob('noop', 0), payload: '{"order":12345678901234567890,"password":"hunter2"}' }
  await queue.enqueue([job])
  const payload = await served.get<JsonText>(`${JOBS}/${job.id}/payload`)
  expect(payload.text).toContain('12345678901234567890')
  expect(payload.text).not.toContain('hunter2')
  expect(payload.isRedacted).toBe(true)
})

test.each(['a:b.c_d-e', '.', '..', 'x'.repeat(128)])('the id %s', async (id) => {
  await queue.enqueue([newJob('noop', 1, { id })])
  const written = /^\.+$/.test(id) ? encodeURIComponent(id.replaceAll('.', '%2e')) : encodeURIComponent(id)
  expect(await served.get<Job>(`${JOBS}/${written}`)).toMatchObject({ id, state: 'ready' })
})

test('what another program put into the lane of a queue harms no page', async () => {
  const key = `mh:{test.${NAME}}:`
  await redis.call('LPUSH', `${key}ready:normal`, '<script>', 'x'.repeat(1_000_000), '')
  const page = await served.call('GET', `${JOBS}?filter=state:ready`)
  expect([200, 502]).toContain(page.status)
  expect((await page.text()).length).toBeLessThan(1_100_000)
  await redis.call('LTRIM', `${key}ready:normal`, 3, -1)
  expect((await served.get<JobsPage>(`${JOBS}?filter=state:ready`)).jobs.length).toBeGreaterThan(5)
})

const SECRET = 'hunter2-hunter2'

test('no secret in the input of a schedule or a flow, or in a header, leaves the server', async () => {
  const input = { password: SECRET, nested: [{ apiKey: SECRET }] }
  await queue.schedules.set('nightly', { everyMs: 3_600_000, task: 'noop', input })
  const ran = await queue.schedules.run('nightly')
  const client = createClient({ redis: redisUrl(), namespace: 'test' })
  const order = flow('order-42', { home: NAME })
  const first = order.add(NAME, 'noop', input, { name: 'first' })
  order.add(NAME, 'noop', input, { name: 'then', after: [first] })
  await client.start(order)
  const sent = await client
    .queue(NAME)
    .enqueue('noop', 1, { headers: { authorization: SECRET, 'x-api-key': SECRET } })
  client.close()
  const base = `queues/test/${NAME}`
  const jobs = [`${ran}`, 'order-42:first', sent.id].map((id) => `${JOBS}/${encodeURIComponent(id)}`)
  const paths = ['schedules', 'schedules/nightly', 'flows', 'flows/order-42', 'jobs'].map(
    (path) => `${base}/${path}`,
  )
  for (const path of [...paths, ...jobs, ...jobs.map((job) => `${job}/payload`)]) {
    const response = await served.call('GET', path)
    const text = await response.text()
    expect([path, response.status, text.includes(SECRET)]).toEqual([path, 200, false])
  }
  const payload = await served.get<JsonText>(`${JOBS}/${encodeURIComponent('order-42:first')}/payload`)
  expect(payload.isRedacted).toBe(true)
})

test.each(['flows', 'schedules', 'actions', 'errors'])('%s have no names but their own', async (what) => {
  for (const name of [
    '<img src=x onerror=alert(1)>',
    '../../etc',
    '%2f',
    'a b',
    '\u202eabc',
    'x'.repeat(400),
  ]) {
    const path = `queues/test/${NAME}/${what}/${encodeURIComponent(name)}`
    const response = await served.call('GET', path)
    expect([path, response.status]).toEqual([path, 400])
    expect(response.headers.get('content-type')).toContain('application/json')
    await response.body?.cancel()
  }
})

test('a body of 50 MB is refused before it has come, and the server goes on', async () => {
  let sent = 0
  const socket = connect(served.port, '127.0.0.1')
  const head = `POST /api/v1/${JOBS} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${served.token}`
  socket.write(`${head}\r\nContent-Type: application/json\r\nContent-Length: 52428800\r\n\r\n`)
  const part = Buffer.alloc(65_536, 'x')
  let said = ''
  socket.on('data', (chunk) => {
    said += chunk
  })
  socket.on('error', () => {})
  while (!socket.destroyed && said === '' && sent < 52_428_800) {
    sent += part.length
    await new Promise((resolve) => socket.write(part, resolve))
  }
  await eventually(() => said !== '')
  socket.destroy()
  expect(said).toMatch(/^HTTP\/1.1 413 /)
  expect(sent).toBeLessThan(52_428_800)
  expect((await served.call('GET', JOBS)).status).toBe(200)
})

test.each([
  ['a path with a NUL', 'GET /api/v1/queues/test/%00 HTTP/1.1', /^HTTP\/1.1 400/],
  ['a path with a slash in a name', 'GET /api/v1/queues/test%2fx/y HTTP/1.1', /^HTTP\/1.1 400/],
  ['steps up', 'GET /api/v1/../../etc/passwd HTTP/1.1', /^HTTP\/1.1 404/],
  ['an address of 9,000 characters', `GET /api/v1/config?${'x'.repeat(9_000)} HTTP/1.1`, /^HTTP\/1.1 400/],
  ['an absolute address', 'GET http://evil.example/api/v1/me HTTP/1.1', /^HTTP\/1.1 40[0-9]/],
  ['a method nobody knows', 'PROPFIND /api/v1/me HTTP/1.1', /^HTTP\/1.1 40[0-9]/],
])('%s', async (_, line, says) => {
  const answer = await raw(
    `${line}\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${served.token}\r\nConnection: close\r\n\r\n`,
  )
  expect(answer).toMatch(says)
  expect(answer).not.toContain('root:')
})

test('nothing that was sent here was an error that nobody foresaw', () => {
  expect(served.log.filter(({ level }) => level === 'error')).toEqual([])
})

function raw(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = ''
    const socket = connect(served.port, '127.0.0.1', () => socket.write(text))
    socket.on('data', (chunk) => {
      said += chunk
    })
    socket.on('close', () => resolve(said))
    socket.on('error', reject)
  })
}
