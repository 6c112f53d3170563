// How long calls of the dashboard's API take over a large queue, and what its viewers cost the process that
// serves them. Needs a redis-server.
// node --conditions=millhand-source bench/dashboard.ts [--waiting N] [--ended N] [--viewers N]
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openFence } from '@millhand/control/engine/fence'
import { Objects } from '@millhand/control/objects'
import { inSecret } from '@millhand/control/redis/problems'
import { Servers } from '@millhand/control/redis/servers'
import { checkAgainstSchema } from '@millhand/control/resources/schema'
import { loadSchemas } from '@millhand/control/resources/schemas'
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import { localAccess } from '@millhand/dashboard/server/access/local'
import { listenLocally } from '@millhand/dashboard/server/listen'
import { dashboardServer } from '@millhand/dashboard/server/server'
import { connectRedis, defaultSettings, newJob, openQueue, type Queue, silent } from 'millhand/queue'
import { stopEverything } from './processes.ts'
import { Server } from './server.ts'

const ROUNDS = 300
const WATCHED_MS = 20_000
const { values } = parseArgs({
  options: {
    waiting: { type: 'string', default: '1000000' },
    ended: { type: 'string', default: '100000' },
    viewers: { type: 'string', default: '50' },
    serve: { type: 'string' },
  },
})

if (values.serve === undefined) await bench()
else await serve(values.serve)

/** In its own process, so that its memory and processor time can be measured. */
async function serve(url: string): Promise<void> {
  const times = { nowMs: () => performance.now(), wallMs: () => Date.now() }
  const reach = {
    addressOf: async () => ({ kind: 'address', access: { url } }) as const,
    wordsFor: () => inSecret({ secretName: 'millhand-redis' }),
    isDenied: () => false,
    forget: () => {},
  }
  const servers = new Servers({
    ...times,
    reach,
    name: 'bench',
    onStirred: () => {},
    fence: openFence,
    log: silent,
  })
  const objects = new Objects({ look: () => {} })
  objects.change('TaskQueue', { key: 'default/big', now: taskQueue() })
  const { access, token } = localAccess({ ...times, log: silent })
  const plant = {
    kind: 'up',
    get: objects.get.bind(objects),
    list: objects.list.bind(objects),
    find: objects.find.bind(objects),
    open: servers.open.bind(servers),
  } as const
  const { port } = await listenLocally(dashboardServer({ ...times, plant, access, log: silent }), 0)
  process.on('message', () => {
    global.gc?.()
    const { user, system } = process.cpuUsage()
    process.send?.({ rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1_000 })
  })
  process.send?.({ url: `http://127.0.0.1:${port}/api/v1/`, token })
}

async function bench(): Promise<void> {
  const server = await Server.start()
  const redis = connectRedis(server.url)
  const queue = openQueue(redis, 'default.big')
  const beganMs = performance.now()
  const ids = await fill(queue, { waiting: Number(values.waiting), ended: Number(values.ended) })
  console.log(`filled in ${Math.round((performance.now() - beganMs) / 1_000)} s`)
  const child = fork(fileURLToPath(import.meta.url), ['--serve', server.url], {
    execArgv: [...process.execArgv, '--expose-gc'],
  })
  try {
    const [{ url, token }] = (await once(child, 'message')) as [{ url: string; token: string }]
    const api: Api = {
      url,
      headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
    }
    await server.redis.call('CONFIG', 'SET', 'slowlog-log-slower-than', '10000')
    await server.redis.call('SLOWLOG', 'RESET')
    for (const [name, call] of callsOn(api, ids)) await measure(name, call, server)
    const slow = await server.redis.call('SLOWLOG', 'LEN')
    console.log(`commands that took Redis more than 10 ms: ${slow}`)
    await watch(api, child, Number(values.viewers))
  } finally {
    child.kill()
    redis.close()
    await stopEverything()
  }
}

interface Api {
  url: string
  headers: Record<string, string>
}

interface Ids {
  waiting: string
  buried: string
  completed: string
}

function callsOn({ url, headers }: Api, ids: Ids): [string, () => Promise<unknown>][] {
  const read = (path: string) => async () => {
    const response = await fetch(url + path, { headers })
    if (response.status !== 200) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    return response.text()
  }
  const big = 'queues/default/big'
  const find = (filter: string, limit = 50) =>
    read(`${big}/jobs?limit=${limit}&filter=${encodeURIComponent(filter)}`)
  return [
    ['snapshot', read('snapshot')],
    ['queue', read(big)],
    ['jobs, ready', find('state:ready')],
    ['jobs, delayed', find('state:delayed')],
    ['jobs, buried', find('state:buried')],
    ['jobs, completed', find('state:completed')],
    ['jobs, 200 buried', find('state:buried', 200)],
    ['jobs, all', find('')],
    ['jobs, by id', find(`id:${ids.buried}`)],
    ['jobs, a task that nobody has', find('task:nobody')],
    ['job, waiting', read(`${big}/jobs/${ids.waiting}`)],
    ['job, buried', read(`${big}/jobs/${ids.buried}`)],
    ['job, completed', read(`${big}/jobs/${ids.completed}`)],
    ['payload', read(`${big}/jobs/${ids.waiting}/payload`)],
    ['result', read(`${big}/jobs/${ids.completed}/result`)],
    ['why', read(`${big}/jobs/${ids.waiting}/why`)],
    ['workers', read(`${big}/workers`)],
    ['errors', read(`${big}/errors`)],
    ['actions', read(`${big}/actions`)],
  ]
}

async function measure(name: string, call: () => Promise<unknown>, server: Server): Promise<void> {
  for (let i = 0; i < 20; i += 1) await call()
  const before = await costOfRedis(server)
  const tookMs: number[] = []
  for (let i = 0; i < ROUNDS; i += 1) {
    const beganMs = performance.now()
    await call()
    tookMs.push(performance.now() - beganMs)
  }
  const after = await costOfRedis(server)
  const commands = (after.commands - before.commands - 1) / ROUNDS
  const busyMs = (after.busyMs - before.busyMs) / ROUNDS
  tookMs.sort((a, b) => a - b)
  const at = (share: number) => (tookMs[Math.floor(share * (tookMs.length - 1))] ?? 0).toFixed(1).padStart(6)
  console.log(
    `${name.padEnd(30)} p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  ${commands.toFixed(2).padStart(6)} commands, ${busyMs.toFixed(2).padStart(6)} ms of Redis`,
  )
}

/** Commands of clients, without those inside scripts; and the processor time of the server. */
async function costOfRedis(server: Server): Promise<{ commands: number; busyMs: number }> {
  const text = String(await server.redis.call('INFO', 'everything'))
  const called = (name: string) => Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(text)?.[1] ?? 0)
  const seconds = (name: string) => Number(new RegExp(`${name}_main_thread:([\\d.]+)`).exec(text)?.[1] ?? 0)
  const busyMs = 1_000 * (seconds('used_cpu_user') + seconds('used_cpu_sys'))
  return { commands: called('evalsha') + called('info'), busyMs }
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
  const ask = async () => {
    child.send('use')
    const [use] = (await once(child, 'message')) as [{ rssBytes: number; cpuMs: number }]
    return use
  }
  await sleep(2_000)
  const before = await ask()
  await sleep(WATCHED_MS)
  const { rssBytes, cpuMs } = await ask()
  return { rssBytes, share: (cpuMs - before.cpuMs) / WATCHED_MS }
}

async function fill(queue: Queue, { waiting, ended }: { waiting: number; ended: number }): Promise<Ids> {
  const bounds = { maxLength: 2 * (waiting + ended), buriedMaxCount: ended, completedMaxCount: ended }
  await queue.configure({ ...defaultSettings, ...bounds, ownerUid: 'uid' })
  const nothing = {
    pod: '',
    podUid: 'u',
    poolUid: '',
    node: '',
    isolation: '',
    isolationNote: '',
    version: '',
  }
  await queue.register({ worker: 'p:1', process: 'p', slots: 1_000, ...nothing })
  const [buried, completed] = [await end(queue, ended, 'terminal'), await end(queue, ended, 'completed')]
  const id = 'waiting-0'
  await queue.enqueue([newJob('resize', { order: 1 }, { id })])
  for (let i = 0; i < waiting; i += 1_000)
    await queue.enqueue(
      Array.from({ length: 1_000 }, (_, n) =>
        newJob('resize', { order: i + n }, n % 2 ? {} : { delayMs: 1e9 }),
      ),
    )
  await queue.deregister('p:1')
  return { waiting: id, buried, completed }
}

async function end(queue: Queue, count: number, verdict: 'terminal' | 'completed'): Promise<string> {
  const record = {
    outcome: 'failed',
    error: { name: 'Error', message: 'connect ECONNREFUSED', stack: 'Error\n    at x (y.ts:1:1)' },
  }
  const text = verdict === 'completed' ? '1 resize 1\n{"done":true}' : JSON.stringify(record)
  let last = ''
  for (let i = 0; i < count; i += 1_000) {
    const jobs = Array.from({ length: Math.min(1_000, count - i) }, (_, n) =>
      newJob('resize', { order: i + n }),
    )
    await queue.enqueue(jobs)
    const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: jobs.length })
    await queue.settleAndClaim({
      worker: 'p:1',
      settlements: claims.map(({ id, token }) => ({ id, token, verdict, text })),
    })
    last = claims.at(-1)?.id ?? last
  }
  return last
}

function taskQueue(): TaskQueueObject {
  const metadata = { namespace: 'default', name: 'big', uid: 'uid' }
  const manifest = { apiVersion: 'millhand.dev/v1beta1', kind: 'TaskQueue', metadata, spec: {} }
  const { value } = checkAgainstSchema(manifest, loadSchemas().TaskQueue)
  const when = { observedGeneration: 1, lastTransitionTime: new Date().toISOString() }
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'Ready',
    message: 'the queue is ready',
    ...when,
  } as const
  const status = { observedGeneration: 1, queueName: 'default.big', conditions: [ready] }
  return { ...(value as TaskQueueObject), status }
}
