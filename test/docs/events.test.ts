// docs/events.md: its programs run, its commands work, and what it says of kinds and of times is so.
import { readFileSync } from 'node:fs'
import { connect } from 'millhand/client'
import { connectRedis, EVENT_KINDS, newJob, openQueue } from 'millhand/queue'
import { millhand, ownNamespace } from '../cli/millhand.ts'
import { eventually } from '../eventually.ts'
import { redisUrl } from '../redis.ts'

const page = readFileSync(new URL('../../docs/events.md', import.meta.url), 'utf8')
const programs = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, text = '']) => text)
const commands = [...page.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, text = '']) =>
  text.trim().split('\n'),
)
const AsyncFunction = (async () => {}).constructor as new (
  ...texts: string[]
) => (...given: unknown[]) => Promise<void>

const namespace = ownNamespace()
const group = 'v1:0123456789abcdef'
const redis = connectRedis(redisUrl())
const queue = openQueue(redis, `${namespace}.mail`)
const client = connect({ redis: redisUrl(), namespace })
afterAll(() => {
  client.close()
  redis.close()
})
beforeAll(async () => {
  const worker = { worker: 'p:1', process: 'p', podUid: 'u', pod: '', poolUid: '', node: '', slots: 1 }
  await queue.register({ ...worker, isolation: 'Spawn', isolationNote: '', version: '' })
  await queue.enqueue([newJob('send', null, { id: 'a' })])
  const [claim] = (await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })).claims
  const text = JSON.stringify({ outcome: 'failed', group, error: { name: 'Error', message: 'no' } })
  await queue.settleAndClaim({
    worker: 'p:1',
    settlements: [{ id: 'a', token: claim?.token ?? '', verdict: 'terminal', text }],
  })
  await queue.renew('p:1', { figures: ['send', 'completed 2 failed 1 run:28 3 runMs 150'] })
})

/** What the program prints. */
async function ran(program: string, given: Record<string, unknown>): Promise<unknown[][]> {
  const printed: unknown[][] = []
  const console = { log: (...values: unknown[]) => printed.push(values) }
  await new AsyncFunction(...Object.keys(given), 'console', program)(...Object.values(given), console)
  return printed
}

test('the program that asks for history prints what there is', async () => {
  const [program = ''] = programs.filter((text) => text.includes('history('))
  expect(await ran(program, { queue })).toEqual([
    ...[
      ['completed', 2, true],
      ['failed', 1, true],
      ['wait.p95', null, true],
      ['ready', null, true],
    ],
  ])
})

test('the program that follows events prints what happens', async () => {
  const [program = ''] = programs.filter((text) => text.includes('events('))
  const ender = new AbortController()
  const following = ran(program, { client, signal: ender.signal })
  await eventually(
    async () => (await redis.call('HGET', `mh:{${queue.name}}:config`, 'watchedUntilMs')) !== null,
  )
  await client.queue('mail').enqueue('send', null)
  await new Promise((resolve) => setTimeout(resolve, 1_200)) // longer than between two looks
  ender.abort()
  expect(await following).toEqual([[expect.stringMatching(/^\d+-\d+$/), 'enqueued', 1, 'send']])
})

test.each(commands.filter((line) => !/\||--follow/.test(line)))('%s works', async (line) => {
  const words = line.replace(/ *#.*/, '').split(' ').slice(1)
  const env = { MILLHAND_REDIS_URL: redisUrl(), MILLHAND_NAMESPACE: namespace }
  const { code, stdout, stderr } = await millhand(words, { env })
  expect([code, stderr]).toEqual([0, ''])
  expect(stdout).not.toBe('')
})

test('the table of kinds has all of them', () => {
  const rows = [...page.matchAll(/^\| (?:always|while somebody watches) \| (.*) \|$/gm)].map(
    ([, cell = '']) => cell,
  )
  const named = rows.flatMap((cell) => [...cell.matchAll(/`([a-z-]+)`/g)].map(([, kind = '']) => kind))
  expect(named.sort()).toEqual([...EVENT_KINDS].sort())
})

test('the table of times is that of the script', () => {
  const SECONDS: Record<string, number> = { s: 1, min: 60, h: 3_600, hours: 3_600, days: 86_400 }
  const rows = [...page.matchAll(/^\| (\d+) (s|min|h) \| (\d+) (hours|days) \|$/gm)].map(
    ([, n, unit = '', kept, of = '']) => [
      Number(n) * (SECONDS[unit] ?? 0),
      Number(kept) * (SECONDS[of] ?? 0),
    ],
  )
  const script = readFileSync(
    new URL('../../worker-runtime/src/queue/lua/stats.lua', import.meta.url),
    'utf8',
  )
  const kept = [...script.matchAll(/\[(\d+)\] = (\d+)/g)].map(([, seconds, of]) => [
    Number(seconds),
    Number(of),
  ])
  expect(rows).toEqual(kept)
})
