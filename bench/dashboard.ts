// How long calls of the dashboard's API take over a large queue, and what its viewers cost the process that
// serves them. Needs a redis-server of version 7.
// node --conditions=millhand-source bench/dashboard.ts [--waiting N] [--ended N] [--viewers N] [--watched-seconds N]
//   [--only WORDS, the calls whose names have them, and no viewers] [--data FOLDER, keeps the queue there for the next time]
// Half of what waits is delayed, a quarter has keys. Other load on the machine shows least in the processor time of a call.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { get, type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connectRedis, openQueue, type Queue } from 'millhand/queue'
import { fillHistory, fillQueue, type Ids } from './large-queue.ts'
import { stopEverything } from './processes.ts'
import { Server } from './server.ts'

const SERVED = fileURLToPath(new URL('dashboard-served.ts', import.meta.url))
const ROUNDS = 300
const BIG = 'queues/default/big'
const FAR_PAGES = 100
const { values } = parseArgs({
  options: {
    waiting: { type: 'string', default: '1000000' },
    ended: { type: 'string', default: '100000' },
    viewers: { type: 'string', default: '50' },
    'watched-seconds': { type: 'string', default: '20' },
    only: { type: 'string', default: '' },
    data: { type: 'string' },
  },
})

const WATCHED_MS = 1_000 * Number(values['watched-seconds'])

await bench()

async function bench(): Promise<void> {
  const server = await Server.start(values.data === undefined ? {} : { dir: values.data })
  const redis = connectRedis(server.url)
  const ids = await filled(server, openQueue(redis, 'default.big'))
  const child = fork(SERVED, [server.url], {
    execArgv: [...process.execArgv, '--expose-gc'],
  })
  try {
    const [{ url, token }] = (await once(child, 'message')) as [{ url: string; token: string }]
    const api: Api = {
      url,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    }
    await server.redis.call('CONFIG', 'SET', 'latency-tracking-info-percentiles', '50 99 100')
    const calls = await callsOn(api, ids)
    await server.redis.call('SLOWLOG', 'RESET')
    const waitedMs = await waitedForCore(server)
    for (const [name, call] of calls)
      if (name.includes(values.only)) await measure(name, call, { server, child })
    const slow = (await server.redis.call('SLOWLOG', 'GET', '-1')) as SlowCommand[]
    const waited = Math.round((await waitedForCore(server)) - waitedMs)
    console.log(
      `commands that took Redis more than 10 ms: ${slow.length}; it waited ${waited} ms for a core meanwhile`,
    )
    for (const [, , micros, command] of slow)
      console.log(`  ${msText(micros / 1_000)}  ${command.slice(0, 6).join(' ').slice(0, 90)}`)
    if (values.only === '') await watch(api, child, Number(values.viewers))
  } finally {
    child.kill()
    redis.close()
    await stopEverything()
  }
}

/** How long other processes had the cores while Redis was ready to run. SLOWLOG counts this as time of a command. */
async function waitedForCore(server: Server): Promise<number> {
  const { process_id: pid } = await server.info()
  const [, waitedNs] = (await readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => '0 0')).split(' ')
  return Number(waitedNs) / 1e6
}

type SlowCommand = [id: number, atSeconds: number, micros: number, command: string[]]

/** From the folder, or filled now. */
async function filled(server: Server, queue: Queue): Promise<Ids> {
  const beganMs = performance.now()
  const known = await server.redis.get('bench:ids')
  const given = { queue, url: server.url }
  const amounts = { waiting: Number(values.waiting), ended: Number(values.ended) }
  const ids = known === null ? await fillQueue({ ...given, ...amounts }) : (JSON.parse(known) as Ids)
  await fillHistory(queue, server.redis)
  console.log(`filled in ${Math.round((performance.now() - beganMs) / 1_000)} s`)
  if (values.data !== undefined && known === null) {
    await server.redis.set('bench:ids', JSON.stringify(ids))
    await server.redis.save()
  }
  return ids
}

interface Api {
  url: string
  headers: Record<string, string>
}

async function callsOn(api: Api, ids: Ids): Promise<[string, () => Promise<unknown>][]> {
  const read = (path: string) => () => answerOf(api, path)
  const find = (filter: string, limit = 50) => read(jobsPath(filter, { limit }))
  const far = async (filter: string) => read(jobsPath(filter, { cursor: await farCursor(api, filter) }))
  return [
    ['snapshot', read('snapshot')],
    ['queue', read(BIG)],
    ['jobs, ready', find('state:ready')],
    ['jobs, ready, far behind', await far('state:ready')],
    ['jobs, delayed', find('state:delayed')],
    ['jobs, held', find('state:held')],
    ['jobs, of a worker', find(`worker:${ids.worker}`)],
    ['jobs, buried', find('state:buried')],
    ['jobs, completed', find('state:completed')],
    ['jobs, completed, far behind', await far('state:completed')],
    ['jobs, 200 buried', find('state:buried', 200)],
    ['jobs, all', find('')],
    ['jobs, by id', find(`id:${ids.buried}`)],
    ['jobs, a task that nobody has', find('task:nobody')],
    ['jobs, a text that nobody has', find('state:ready "nobody"')],
    ['jobs of all queues', read('jobs')],
    ['count of an action', read(`${BIG}/actions/count?verb=retry&filter=state:buried`)],
    ['job, waiting', read(`${BIG}/jobs/${ids.waiting}`)],
    ['job, held', read(`${BIG}/jobs/${ids.held}`)],
    ['job, buried', read(`${BIG}/jobs/${ids.buried}`)],
    ['job, completed', read(`${BIG}/jobs/${ids.completed}`)],
    ['payload', read(`${BIG}/jobs/${ids.waiting}/payload`)],
    ['result', read(`${BIG}/jobs/${ids.completed}/result`)],
    ['why', read(`${BIG}/jobs/${ids.waiting}/why`)],
    ['why, the last of a lane', read(`${BIG}/jobs/${ids.last}/why`)],
    ['workers', read(`${BIG}/workers?limit=200`)],
    ['errors', read(`${BIG}/errors?limit=200`)],
    ['actions', read(`${BIG}/actions?limit=200`)],
    ['schedules', read(`${BIG}/schedules?limit=200`)],
    ['schedule', read(`${BIG}/schedules/${ids.schedule}`)],
    ['flows', read(`${BIG}/flows?limit=200`)],
    ['flow', read(`${BIG}/flows/${ids.flow}`)],
    ['history of all queues', read('history')],
    ['history of an hour', read(`${BIG}/history?series=completed,failed,wait.p95,run.p95&lastMs=3600000`)],
    ['history of 100 days by task', read(`${BIG}/history?series=run.p95&by=task&lastMs=8000000000`)],
  ]
}

async function answerOf({ url, headers }: Api, path: string): Promise<string> {
  const response = await fetch(url + path, { headers })
  const text = await response.text()
  if (response.status !== 200) throw new Error(`${path}: ${response.status} ${text}`)
  return text
}

function jobsPath(filter: string, page: Record<string, string | number>): string {
  const asked = new URLSearchParams({ filter, limit: '50' })
  for (const [name, value] of Object.entries(page)) asked.set(name, String(value))
  return `${BIG}/jobs?${asked}`
}

/** Of a page that a person would not reach by hand. */
async function farCursor(api: Api, filter: string): Promise<string> {
  let cursor = ''
  for (let n = 0; n < FAR_PAGES; n += 1) {
    const page = jobsPath(filter, { limit: 200, ...(cursor && { cursor }) })
    cursor = (JSON.parse(await answerOf(api, page)) as { cursor?: string }).cursor ?? cursor
  }
  return cursor
}

interface Measured {
  server: Server
  child: ReturnType<typeof fork>
}

/** The slowest script is what Redis serves nobody else meanwhile. */
async function measure(
  name: string,
  call: () => Promise<unknown>,
  { server, child }: Measured,
): Promise<void> {
  const { redis } = server
  for (let i = 0; i < 20; i += 1) await call()
  await redis.call('CONFIG', 'RESETSTAT')
  const before = { server: await server.doings(), child: await useOf(child) }
  const tookMs: number[] = []
  for (let i = 0; i < ROUNDS; i += 1) {
    const beganMs = performance.now()
    await call()
    tookMs.push(performance.now() - beganMs)
  }
  const redisMs = ((await server.doings()).cpuMicros - before.server.cpuMicros) / 1_000 / ROUNDS
  const cpuMs = ((await useOf(child)).cpuMs - before.child.cpuMs) / ROUNDS
  const text = String(await redis.call('INFO', 'everything'))
  const figure = (line: string, name: string) =>
    Number(new RegExp(`${line}_evalsha:.*\\b${name}=([\\d.]+)`).exec(text)?.[1] ?? 0)
  const took = (share: string) => msText(figure('latency_percentiles_usec', share) / 1_000)
  const scripts = (figure('cmdstat', 'calls') / ROUNDS).toFixed(1).padStart(5)
  console.log(
    `${name.padEnd(30)} p50 ${msText(shareOf(tookMs, 0.5))}  p99 ${msText(shareOf(tookMs, 0.99))}  cpu ${msText(cpuMs)}, of Redis ${msText(redisMs)}  ${scripts} scripts, one: p50 ${took('p50')}  p99 ${took('p99')}  slowest ${took('p100')}`,
  )
}

function msText(ms: number): string {
  return `${ms.toFixed(2).padStart(7)} ms`
}

function shareOf(numbers: readonly number[], share: number): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(share * (numbers.length - 1))] ?? 0
}

async function watch({ url, headers }: Api, child: ReturnType<typeof fork>, viewers: number): Promise<void> {
  const idle = await costOf(child)
  const open = await Promise.all(
    Array.from({ length: viewers }, async () => {
      const request = get(`${url}stream`, { headers, agent: false })
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      response.resume()
      return request
    }),
  )
  const watched = await costOf(child)
  for (const request of open) request.destroy()
  const mb = (watched.rssBytes - idle.rssBytes) / 1024 / 1024
  const line = (name: string, { rssBytes, share }: Cost) =>
    `${name.padEnd(30)} ${(rssBytes / 1024 / 1024).toFixed(1)} MiB, ${(share * 100).toFixed(2)} % of a core`
  console.log(line('nobody watches', idle))
  console.log(line(`${viewers} viewers`, watched))
  console.log(
    `${viewers} viewers cost ${mb.toFixed(1)} MiB and ${((watched.share - idle.share) * 100).toFixed(2)} % of a core`,
  )
}

interface Cost {
  rssBytes: number
  share: number
}

async function costOf(child: ReturnType<typeof fork>): Promise<Cost> {
  await sleep(2_000)
  const before = await useOf(child)
  await sleep(WATCHED_MS)
  const { rssBytes, cpuMs } = await useOf(child)
  return { rssBytes, share: (cpuMs - before.cpuMs) / WATCHED_MS }
}

async function useOf(child: ReturnType<typeof fork>): Promise<{ rssBytes: number; cpuMs: number }> {
  child.send('use')
  const [use] = (await once(child, 'message')) as [{ rssBytes: number; cpuMs: number }]
  return use
}
