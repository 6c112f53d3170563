// docs/api.md: its commands run, in their order, against a real server, and answer what the page says.
import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { ErrorAnswer } from '../../dashboard/src/api.ts'
import { problemsOf } from '../../dashboard/src/server/check.ts'
import { type Served, serve, taskQueue } from '../dashboard/served.ts'
import { RedisServer } from '../redis-server.ts'
import { startWorker, type WorkerProcess } from '../worker-process.ts'

const page = readFileSync(new URL('../../docs/api.md', import.meta.url), 'utf8')
const blocks = [...page.matchAll(/```(sh|json)\n([\s\S]*?)```/g)].map(([, kind = '', text = '']) => ({
  kind,
  text,
}))
/** An example of an answer stands right behind its command. */
const answerBehind = (command: string) => page.split(`${command}\`\`\`\n\`\`\`json\n`)[1]?.split('```')[0]
const run = promisify(execFile)
let redis: RedisServer
let served: Served
let worker: WorkerProcess

beforeAll(async () => {
  redis = await RedisServer.start()
  served = await serve({ redisUrl: redis.url, queues: [taskQueue('mail', {}, 'default')] })
  const modules = [fileURLToPath(new URL('../tasks/tiny.ts', import.meta.url))]
  worker = await startWorker({
    redisUrl: redis.url,
    namespace: 'default',
    queues: ['mail'],
    modules,
    isolation: 'Spawn',
  })
}, 60_000)

afterAll(async () => {
  served.stop()
  await worker?.stop()
  await redis.remove()
})

test('every command answers, and with the fields that the page shows', async () => {
  const [first, ...rest] = blocks
  const env = { ...process.env, MILLHAND: `${served.url}/api/v1`, TOKEN: served.token }
  let answered = 0
  for (const { kind, text } of rest) {
    if (kind !== 'sh') continue
    // The page's task is one of the reader's; the worker here has others.
    const script = `set -e\n${first?.text}\n${text.replaceAll('"send"', '"succeeds"')}`
    const { stdout } = await run('bash', ['-c', script], { env })
    const shown = answerBehind(text)
    if (shown !== undefined)
      expect(Object.keys(JSON.parse(stdout))).toEqual(expect.arrayContaining(Object.keys(JSON.parse(shown))))
    answered += 1
  }
  expect(answered).toBeGreaterThanOrEqual(8)
}, 120_000)

test('the page has every code of an error, and no other', () => {
  const folders = ['dashboard/src/server', 'worker-runtime/src/queue', 'worker-runtime/src/redis']
  const sources = folders.flatMap((folder) =>
    readdirSync(new URL(`../../${folder}/`, import.meta.url), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => [folder, readFileSync(new URL(`../../${folder}/${name}`, import.meta.url), 'utf8')]),
  )
  const found = (pattern: RegExp, within = '') =>
    sources.flatMap(([folder = '', text = '']) =>
      folder.startsWith(within) ? [...text.matchAll(pattern)].map(([, code = '']) => code) : [],
    )
  // A code of the server has two words or is one of two; those of a queue are the keys of a table of statuses.
  const given = [
    ...found(/'([A-Z]{2,}(?:_[A-Z]+)+|FORBIDDEN|INTERNAL)'/g, 'dashboard'),
    ...found(/^ {2}([A-Z_]+): \d{3},$/gm, 'dashboard'),
    ...found(/readonly code = '([A-Z_]+)'/g),
    ...found(/^ {4}\| '([A-Z_]+)'$/gm),
  ]
  const errors = page.split('\n## Errors\n')[1] ?? ''
  const follow = page.split('\n## Follow\n')[1]?.split('\n## ')[0] ?? ''
  const told = [...`${errors}${follow}`.matchAll(/`([A-Z][A-Z_]+)`/g)].map(([, code = '']) => code)
  expect(told.length).toBeGreaterThan(40)
  expect([...new Set(told)].sort()).toEqual([...new Set(given)].sort())
})

test('the error of the page is one', () => {
  const error = blocks.map(({ text }) => text).find((text) => text.includes('"error"')) ?? ''
  expect(problemsOf(JSON.parse(error), ErrorAnswer)).toEqual([])
})
