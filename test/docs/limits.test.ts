// docs/limits.md, block by block: its manifest is what the queue has, its programs and commands run, and the API of
// somebody else that answers 429 is asked again when it said.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Client, type ClientQueue, connect } from 'millhand/client'
import { type Connection, connectRedis, openQueue, type Queue } from 'millhand/queue'
import { parse } from 'yaml'
import { checkAgainstSchema } from '../../control/src/resources/schema.ts'
import {
  parseTaskQueue,
  queueSettings,
  type TaskQueueObject,
} from '../../control/src/resources/task-queue.ts'
import { millhand, ownNamespace } from '../cli/millhand.ts'
import { schemas } from '../control/resources/crds.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'
import { startWorker } from '../worker-process.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/limits.md'), 'utf8')
const blocks = [...page.matchAll(/```(\w*)\n([\s\S]*?)```/g)].map(([, language = '', text = '']) => ({
  language,
  text,
}))
const ran = new Set<string>()
const blockWith = (words: string, language: string) => {
  const found = blocks.find((block) => block.language === language && block.text.includes(words))
  if (!found) throw new Error(`the page has no block with ${words}`)
  ran.add(found.text)
  return found.text
}
const AsyncFunction = (async () => {}).constructor as new (
  ...texts: string[]
) => (...given: unknown[]) => Promise<unknown>

const namespace = ownNamespace()
let client: Client
let jobs: ClientQueue
let redis: Connection
let queue: Queue
beforeAll(async () => {
  client = connect({ redis: redisUrl(), namespace })
  jobs = client.queue('mail')
  redis = connectRedis(redisUrl())
  queue = openQueue(redis, jobs.name)
  const { value, problems } = checkAgainstSchema(parse(blockWith('perKey', 'yaml')), schemas.TaskQueue)
  expect(problems).toEqual([])
  const declared = parseTaskQueue(value as TaskQueueObject, namespace)
  await queue.configure(queueSettings(declared, 'the page', 'the page'))
})
afterAll(() => {
  client.close()
  redis.close()
})

const run = (program: string) => new AsyncFunction('queue', program)(jobs)
async function runCommands(text: string): Promise<string[]> {
  const said: string[] = []
  for (const command of text.trim().split('\n')) {
    const words = [...command.replace(/ +#.*$/, '').matchAll(/'([^']*)'|(\S+)/g)].map(
      ([, quoted, plain]) => quoted ?? plain ?? '',
    )
    const { code, stdout, stderr } = await millhand([
      ...words.slice(1),
      ...['--redis', redisUrl(), '--namespace', namespace],
    ])
    expect([command, code, stderr]).toEqual([command, 0, ''])
    said.push(stdout)
  }
  return said
}

test('a key is given by a program and by a command', async () => {
  await run(blockWith('to: ', 'ts'))
  await runCommands(blockWith('millhand enqueue', 'sh'))
  expect(await queue.keyState('tenant-42')).toMatchObject({ waiting: 2, isBlocked: false })
  await queue.purge(['ready'])
})

test('why says which limit holds a job back', async () => {
  const requests = Array.from({ length: 20 }, (_, n) => ({
    task: 'send',
    input: { to: n },
    options: { key: 'acme' },
  }))
  const last = (await jobs.enqueueMany(requests)).at(-1)
  const worker = 'p:1'
  const where = { process: 'p', pod: '', podUid: '', poolUid: '', node: '', slots: 9 }
  await queue.register({ worker, ...where, isolation: '', isolationNote: '', version: '' })
  const general = (text: string) =>
    text
      .replace(/job \S+ of \S+/, 'job ID of QUEUE')
      .replace(/\(for [^)]*\)/, '(for some time)')
      .trim()
  // On a slow machine there is a new token before the command asks.
  const isTold = async () => {
    const { claims } = await queue.settleAndClaim({ worker, wanted: 9 })
    const settlements = claims.map(({ id, token }) => ({
      ...{ id, token, verdict: 'completed' as const },
      text: '1 send 1\nnull',
    }))
    await queue.settleAndClaim({ worker, settlements })
    const [says = ''] = await runCommands(`millhand why mail ${last?.id}`)
    return general(says) === general(blockWith('has used up', ''))
  }
  await eventually(isTold, { what: 'the sentence of the page', withinMs: 60_000 })
  await queue.deregister(worker)
  await queue.purge(['ready'])
}, 120_000)

test('a key, and the queue, are given other limits by commands and by a program', async () => {
  const said = await runCommands(blockWith('millhand limit', 'sh'))
  expect(said.map((text) => /GIVEN LIMITS\n(.*)/.exec(text)?.[1]?.replace(/ {2,}/g, ' '))).toEqual([
    expect.stringMatching(/^acme 10 running; 100 in 1s/),
    expect.stringMatching(/^acme 10 running; 100 in 1s/),
    undefined,
    expect.stringMatching(/^\(the queue\) 600 in 60s/),
    undefined,
  ])
  expect((await queue.keyState()).overrides).toEqual({})
  await run(
    blockWith('queue.limits.set', 'ts').replace('await queue.limits.remove', 'return queue.limits.remove'),
  )
  expect(await queue.keyState('acme')).toMatchObject({ overrides: {} })
})

test('a task that is told 429 rests with its key for as long as it was told, and no attempt is counted', async () => {
  let asked = 0
  const api = createServer((_, response) => {
    asked += 1
    response.writeHead(asked === 1 ? 429 : 200, { 'retry-after': '1' }).end()
  }).listen(0, '127.0.0.1')
  const folder = mkdtempSync(join(tmpdir(), 'millhand-limits-'))
  await eventually(() => api.listening)
  const { port } = api.address() as AddressInfo
  const file = join(folder, 'tasks.ts')
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(join(root, 'worker-runtime'), join(folder, 'node_modules/millhand'))
  writeFileSync(
    file,
    blockWith('RetryAfter', 'ts').replace('https://mail.example', `http://127.0.0.1:${port}`),
  )
  const worker = await startWorker({ redisUrl: redisUrl(), namespace, queues: ['mail'], modules: [file] })
  try {
    const job = await jobs.enqueue('send', { to: 'ann@example.com' }, { key: 'resting' })
    await job.result({ timeoutMs: 60_000 })
    expect(asked).toBe(2)
    expect(await job.details()).toMatchObject({ state: 'completed', attempts: 1, failures: [] })
    const ended = worker.lines.filter(({ job: id }) => id === job.id)
    expect(ended.map(({ outcome }) => outcome).filter(Boolean)).toEqual(['rests', 'succeeded'])
  } finally {
    api.close()
    await worker.stop()
    rmSync(folder, { recursive: true })
  }
}, 120_000)

test('every block of the page is one of these', () => {
  expect(blocks.filter(({ text }) => !ran.has(text))).toEqual([])
})
