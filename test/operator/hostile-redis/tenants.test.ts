// One operator before many tenants whose servers do what no Redis does, and one whose Redis is well: the operator lives, takes no more memory
// and descriptors than it may, says of each what is wrong in its own words, and the well tenant's pool is looked at as if it were alone.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { PERSONAS, type PersonaName, personas } from '../../hostile-redis/personas.ts'
import {
  array,
  bulk,
  civil,
  FORMS,
  type Form,
  HostileServer,
  type Persona,
} from '../../hostile-redis/server.ts'
import { redisUrl } from '../../redis.ts'
import type { Report, Tenants } from './operator.ts'

const OPERATOR = fileURLToPath(new URL('./operator.ts', import.meta.url))
const KNOWN = [
  ...[
    'none',
    'RedisProtocolError',
    'RedisDataInvalid',
    'RedisUnreachable',
    'RedisNotServing',
    'RedisRefused',
  ],
  ...[
    'RedisScriptsFail',
    'RedisIsCluster',
    'RedisAddressDenied',
    'NameTaken',
    'NewerLayout',
    'OlderLayout',
    'RedisFull',
  ],
]

const servers: HostileServer[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.stop()
})

async function startServer(persona: Persona): Promise<HostileServer> {
  const server = await HostileServer.start(persona)
  servers.push(server)
  return server
}

async function operatorBefore(tenants: Omit<Tenants, 'wellUrl'>): Promise<Report & { p99Ms: number }> {
  const env = {
    ...process.env,
    TENANTS: JSON.stringify({ ...tenants, wellUrl: redisUrl() } satisfies Tenants),
    UV_THREADPOOL_SIZE: '32',
  }
  const args = ['--conditions=millhand-source', '--max-old-space-size=300', OPERATOR]
  const child = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout.on('data', (chunk) => {
    said += chunk
  })
  const [code, signal] = await once(child, 'exit')
  expect({ code, signal }).toEqual({ code: 0, signal: null })
  const report: Report = JSON.parse(said)
  const sorted = report.wellMs.toSorted((a, b) => a - b)
  const p99Ms = sorted[Math.ceil(sorted.length * 0.99) - 1] ?? Number.POSITIVE_INFINITY
  const { rssMb, descriptors } = report
  const looks = sorted.length
  process.stderr.write(
    `hostile tenants: ${JSON.stringify({ looks, p50Ms: sorted[looks >> 1], p99Ms, rssMb, descriptors })}\n`,
  )
  return { ...report, p99Ms }
}

const namespaceOf = (persona: string, form: Form) => `${persona.replace(/\W+/g, '-').toLowerCase()}-${form}`

/** What the script of a look is answered, in the order of the calls: workers, then the depth. */
const looks =
  (workers: string, depth: string): Persona =>
  (asked) => {
    if (asked.command !== 'EVALSHA') return civil(asked)
    const isOfWorkers = asked.args.length === 7 && asked.args[4] === '500'
    if (isOfWorkers) return workers
    return asked.args.includes('enqueued') && asked.args.includes('claimed') ? depth : bulk('configured')
  }
const noWorkers = array(':0\r\n', array(), array())
const counts = (value: string) => array(...Array(11).fill(bulk(value)))
const depth = (value: string, next = ':-1\r\n') =>
  array(':5\r\n', ':0\r\n', ':0\r\n', ':0\r\n', next, ':-1\r\n', ':0\r\n', ':0\r\n', ':-1\r\n', counts(value))
const fat = (text: string) =>
  array(':1\r\n', array(bulk('w'), ':1\r\n', ':0\r\n', array(bulk('isolation'), bulk(text))), array())
const answering: Record<string, Persona> = {
  'busy-is-x': looks(noWorkers, depth('x')),
  'busy-is-negative': looks(noWorkers, depth('-5')),
  'busy-is-huge': looks(noWorkers, depth('9'.repeat(30))),
  'a-note-of-100-mb': looks(fat('x'.repeat(100_000_000)), depth('0')),
  'a-note-of-7-mb': looks(fat('x'.repeat(7_000_000)), depth('0')),
  'many-workers': looks(array(':300000\r\n', array(), array()), depth('0')),
  'always-due-in-3-ms': looks(noWorkers, depth('0', ':3\r\n')),
  'the-name-is-taken': (asked) =>
    asked.command === 'EVALSHA' && asked.args.includes('maxLength') ? bulk('name-taken') : civil(asked),
}

test('every persona, in each form, at once: each is told as what it is, and nothing else happens', async () => {
  const urls: Record<string, string> = {}
  for (const name of PERSONAS)
    for (const form of FORMS)
      urls[namespaceOf(name, form)] = (await startServer(personas[name as PersonaName])).urlFor(form)
  for (const [name, persona] of Object.entries(answering))
    urls[name] = (await startServer(persona)).urlFor('server')
  const report = await operatorBefore({ urls, queuesEach: 3, forMs: 20_000 })
  expect(report.uncaught).toEqual([])
  expect(report.oddReplicas).toEqual([])
  const odd = Object.entries(report.reasons).flatMap(([namespace, reasons]) =>
    reasons.filter((reason) => !KNOWN.includes(reason)).map((reason) => `${namespace}: ${reason}`),
  )
  expect(odd).toEqual([])
  expect(Object.keys(report.reasons).length).toBe(Object.keys(urls).length + 1)
  for (const name of [
    'busy-is-x',
    'busy-is-negative',
    'busy-is-huge',
    'a-note-of-100-mb',
    'a-note-of-7-mb',
    'many-workers',
  ])
    expect([name, report.reasons[name]]).toEqual([name, expect.arrayContaining(['RedisDataInvalid'])])
  expect(report.reasons['garbage-server']).toContain('RedisProtocolError')
  expect(report.reasons.well).toEqual(['none'])
  expect(report.rssMb).toBeLessThan(500)
  expect(report.descriptors).toBeLessThan(1_500)
  expect(report.wellMs.length).toBeGreaterThan(20)
  // 80 namespaces of servers that flood one process, on a machine that runs other tests too.
  expect(report.p99Ms).toBeLessThan(5_000)
}, 120_000)

test('200 pools on a server that is silent after its handshake: the other tenant waits less than a second', async () => {
  const silent = await startServer(personas['silence after the handshake'])
  const report = await operatorBefore({
    urls: { silent: silent.urlFor('server') },
    queuesEach: 200,
    forMs: 15_000,
  })
  expect(report.uncaught).toEqual([])
  expect(report.reasons).toMatchObject({ silent: ['RedisUnreachable'], well: ['none'] })
  expect(report.wellMs.length).toBeGreaterThan(20)
  expect(report.p99Ms).toBeLessThan(1_000)
}, 90_000)

test('eight tenants whose servers answer each call at the last moment: the other tenant waits less than a second', async () => {
  const slowly: Persona = (asked) => (socket) => {
    const answer = String(civil(asked))
    setTimeout(() => socket.write(answer), asked.command.startsWith('EVAL') ? 2_300 : 0).unref()
  }
  const urls: Record<string, string> = {}
  for (let i = 0; i < 8; i++) urls[`slow-${i}`] = (await startServer(slowly)).urlFor('server')
  const report = await operatorBefore({ urls, queuesEach: 50, forMs: 15_000 })
  expect(report.uncaught).toEqual([])
  expect(report.reasons.well).toEqual(['none'])
  expect(report.p99Ms).toBeLessThan(1_000)
}, 90_000)
