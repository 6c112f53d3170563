// How many instructions Redis executes for a job, counted by valgrind. The number is the same on a busy
// machine, so it can compare two versions of a script where times cannot. Needs valgrind; takes three
// minutes.
// node --conditions=millhand-source bench/instructions.ts [words of the lines that are wanted]
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type FlowPlan, flow } from 'millhand/client'
import {
  type Connection,
  connectRedis,
  defaultSettings,
  newJob,
  openQueue,
  type Queue,
  type QueueSettings,
  type Settlement,
} from 'millhand/queue'
import { removeFolder, stopWhenInterrupted, temporaryFolder } from './processes.ts'
import { freePort } from './server.ts'

const PAYLOAD = { n: 123456, payload: 'x'.repeat(82) }
const NOTHING = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }

/** The count is the difference of two runs: both contain the start of the server. */
interface Case {
  what: string
  runs: readonly [few: number, many: number]
  /** The number of jobs that wait at the start, and of the keys that they have in turn. */
  waiting?: number
  keys?: number
  settings?: Partial<QueueSettings>
  /** Instead of jobs without a flow, so many of them. */
  shape?: Shape
  work(queue: Queue, jobs: number, keys: number): Promise<void>
}

/** A flow of FLOW_SIZE no-op jobs. */
type Shape = (flow: FlowPlan) => void
const FLOW_SIZE = 10
const step = { queue: 'bench', task: 'no-op', input: PAYLOAD }
const stepsOf = (jobs: number) => Array.from({ length: jobs }, () => step)
const SHAPES: Readonly<Record<string, Shape>> = {
  chain: (built) => built.chain(stepsOf(FLOW_SIZE)),
  group: (built) => built.group(stepsOf(FLOW_SIZE)),
  chord: (built) => built.chord(stepsOf(FLOW_SIZE - 1), { queue: 'bench', task: 'no-op' }),
}

const ONE_EACH = 100_000
const draining = (atOnce: number) => ({
  runs: [1_000, 3_000] as const,
  waiting: 3_100,
  work: (queue: Queue, jobs: number) => drain(queue, jobs, atOnce),
})
const MAX_BUSY = { perKey: { maxBusy: 2 } }
const RATE = { perKey: { rate: { jobs: 100, periodMs: 1_000, burst: 100 } } }
const cases: Case[] = [
  { what: 'enqueue, alone', runs: [300, 1_300], work: (queue, jobs) => enqueue(queue, { jobs, atOnce: 1 }) },
  { what: 'enqueue, 100 a call', runs: [1_000, 3_000], work: (queue, jobs) => enqueue(queue, { jobs }) },
  {
    what: 'enqueue, 100 a call, 100 keys with maxBusy',
    ...{ runs: [1_000, 3_000], settings: MAX_BUSY, keys: 100 },
    work: (queue, jobs, keys) => enqueue(queue, { jobs, keys }),
  },
  ...[1, 16, 100].map((atOnce) => ({ what: `claim and settle, ${atOnce} a call`, ...draining(atOnce) })),
  {
    what: 'claim and settle, 16 a call, 1,000 keys with a job each',
    ...draining(16),
    runs: [200, 900],
    keys: 1_000,
    waiting: 1_000,
  },
  {
    what: 'claim and settle, 16 a call, 100,000 keys with a job each',
    ...draining(16),
    keys: ONE_EACH,
    waiting: ONE_EACH,
  },
  { what: 'claim and settle, 16 a call, 100 keys', ...draining(16), keys: 100 },
  ...[100, 1_000].map((keys) => ({
    what: `claim and settle, 16 a call, ${keys.toLocaleString('en-US')} keys with maxBusy`,
    ...draining(16),
    keys,
    settings: MAX_BUSY,
  })),
  { what: 'claim and settle, 16 a call, 100 keys with a rate', ...draining(16), keys: 100, settings: RATE },
  {
    what: 'claim and settle, 16 a call, 1,000 keys with a job each and maxBusy',
    ...draining(16),
    ...{ runs: [200, 900], keys: 1_000, waiting: 1_000, settings: MAX_BUSY },
  },
  ...Object.entries(SHAPES).flatMap(([name, shape]) => [
    {
      what: `start, a job of a flow (${name} of ${FLOW_SIZE})`,
      runs: [1_000, 3_000] as const,
      work: (queue: Queue, jobs: number) => start(queue, jobs, shape),
    },
    {
      what: `claim and settle, 16 a call, a job of a flow (${name} of ${FLOW_SIZE})`,
      ...draining(16),
      shape,
    },
  ]),
]

stopWhenInterrupted()
for (const each of cases.filter(({ what }) => process.argv.slice(2).every((word) => what.includes(word)))) {
  const instructions = await countedFor(each)
  console.log(`${Math.round(instructions).toLocaleString('en-US').padStart(8)}  ${each.what}`)
}

async function countedFor({
  runs: [few, many],
  waiting = 0,
  keys = 0,
  settings,
  shape,
  work,
}: Case): Promise<number> {
  const folder = temporaryFolder()
  try {
    await withServer('redis-server', folder, async (redis) => {
      const queue = openQueue(redis, 'default.bench')
      if (settings) await queue.configure({ ...defaultSettings, ...settings })
      if (shape) await start(queue, waiting, shape)
      else await enqueue(queue, { jobs: waiting, keys })
      await redis.call('SAVE')
    })
    const counted = (jobs: number) =>
      countedIn(folder, (redis) => work(openQueue(redis, 'default.bench'), jobs, keys))
    return ((await counted(many)) - (await counted(few))) / (many - few)
  } finally {
    removeFolder(folder)
  }
}

async function countedIn(loaded: string, work: (redis: Connection) => Promise<void>): Promise<number> {
  const folder = temporaryFolder()
  try {
    cpSync(loaded, folder, { recursive: true })
    const out = join(folder, 'out')
    await withServer(`valgrind --tool=callgrind --callgrind-out-file=${out} redis-server`, folder, work)
    return Number(/^summary: (\d+)/m.exec(readFileSync(out, 'utf8'))?.[1])
  } finally {
    removeFolder(folder)
  }
}

async function withServer(
  program: string,
  folder: string,
  work: (redis: Connection) => Promise<void>,
): Promise<void> {
  const port = await freePort()
  const [command = '', ...args] = program.split(' ')
  const settings = ['--port', String(port), '--save', '', '--dir', folder, '--hz', '1']
  const server = spawn(command, [...args, ...settings], { stdio: 'ignore' })
  const ended = once(server, 'exit')
  const redis = connectRedis(`redis://127.0.0.1:${port}`, { deadlineMs: 120_000 })
  try {
    await work(redis)
    await redis.call('SHUTDOWN', 'NOSAVE').catch(() => {}) // it closes the connection instead of an answer
    await ended
  } finally {
    redis.close()
    server.kill('SIGKILL')
  }
}

/** With keys, each job has the next key. */
async function enqueue(
  queue: Queue,
  { jobs, atOnce = 100, keys = 0 }: { jobs: number; atOnce?: number; keys?: number },
): Promise<void> {
  const optionsOf = (nth: number) => (keys > 0 ? { key: `key-${nth % keys}` } : {})
  for (let done = 0; done < jobs; done += atOnce)
    await queue.enqueue(
      Array.from({ length: atOnce }, (_, i) => newJob('no-op', PAYLOAD, optionsOf(done + i))),
    )
}

/** Flows of this shape, until there are so many jobs. */
async function start(queue: Queue, jobs: number, shape: Shape): Promise<void> {
  for (let i = 0; i < jobs / FLOW_SIZE; i += 1) {
    const built = flow(`flow-${i}`)
    shape(built)
    await queue.flows.start(built.plan(queue.name, (name) => `default.${name}`))
  }
}

async function drain(queue: Queue, jobs: number, atOnce: number): Promise<void> {
  await queue.register({ ...NOTHING, worker: 'p:1', process: 'p', podUid: 'u', slots: atOnce })
  let ended: readonly Settlement[] = []
  for (let done = 0; done < jobs; done += ended.length) {
    const { claims } = await queue.settleAndClaim({ worker: 'p:1', settlements: ended, wanted: atOnce })
    ended = claims.map(({ id, token, envelope }) => {
      const [, , enqueuedAtMs, task] = envelope.split(/[ \n]/, 4)
      return { id, token, verdict: 'completed', text: `${enqueuedAtMs} ${task} 1\nnull` }
    })
  }
}
