// A server that takes connections and is no use: it is left alone, longer each time, whatever its handshakes say, so that it keeps nobody
// waiting who serves others. And no queue is opened under a name that is another namespace's.
import { RedisUnavailable } from 'millhand/queue'
import { Breaker } from '../../../control/src/redis/breaker.ts'
import type { SeenQueue } from '../../../control/src/redis/seen-queue.ts'
import { eventually } from '../../eventually.ts'
import { personas } from '../../hostile-redis/personas.ts'
import { civil, HostileServer, type Persona } from '../../hostile-redis/server.ts'
import { redisUrl } from '../../redis.ts'
import { type OpenServers, openServers } from './open-servers.ts'

const place = { namespace: 'shop', secretName: 'millhand-redis' }
const toClose: { close(): void }[] = []
afterEach(() => {
  for (const each of toClose.splice(0)) each.close()
})

async function operatorAt(
  persona: Persona,
): Promise<OpenServers & { hostile: HostileServer; seen: SeenQueue }> {
  const hostile = await HostileServer.start(persona)
  const opened = openServers({ 'millhand-redis': hostile.urlFor('server') })
  toClose.push({ close: () => hostile.stop() }, opened.servers)
  const found = await opened.servers.open('shop.mail', place)
  if (found.kind === 'problem') throw new Error(found.message)
  return { ...opened, hostile, seen: found.seen }
}

const asked = ({ heard }: HostileServer) => heard.filter((command) => command === 'EVALSHA').length
const failure = (seen: SeenQueue) =>
  seen.look().then(
    () => 'none',
    (error: Error) => error.message,
  )

test('a server that is silent after each handshake is asked once, then not for 5 s, then once, then not for 10 s', async () => {
  const { seen, hostile, clock } = await operatorAt(personas['silence after the handshake'])
  await eventually(() => seen.isReachable)
  for (const restMs of [5_000, 10_000, 20_000]) {
    const before = asked(hostile)
    expect(await failure(seen)).not.toBe('none')
    expect(asked(hostile)).toBe(before + 1)
    for (let times = 0; times < 50; times++)
      expect(await failure(seen)).toBe('the server does not answer in time')
    expect(await seen.examineServer()).toBe('unknown')
    expect(seen.isReachable).toBe(false)
    clock.skippedMs += restMs - 2_000
    expect(await failure(seen)).toBe('the server does not answer in time')
    expect(asked(hostile)).toBe(before + 1)
    clock.skippedMs += 2_500
    await eventually(() => seen.isReachable)
  }
}, 30_000)

test('a server that answers each call, but all of them too slowly, keeps a look no longer than one call', async () => {
  const slowly: Persona = (said) => (socket) => {
    const answer = civil(said)
    setTimeout(() => socket.write(String(answer)), said.command === 'EVALSHA' ? 2_000 : 0)
  }
  const { seen, hostile } = await operatorAt((said) =>
    said.command === 'EVALSHA'
      ? '-NOSCRIPT no\r\n'
      : slowly({ ...said, command: said.command.replace('EVAL', 'EVALSHA') }),
  )
  await eventually(() => seen.isReachable)
  expect(await failure(seen)).not.toBe('none')
  expect(hostile.heard.filter((command) => command === 'EVAL').length).toBeLessThanOrEqual(2)
}, 20_000)

test('a server that ends each connection that it lets in is left alone after three', async () => {
  const { seen, hostile, stirs } = await operatorAt(civil)
  await eventually(() => seen.isReachable)
  hostile.persona = (said) => (said.command === 'EVALSHA' ? (socket) => socket.end() : civil(said))
  await eventually(async () => (await failure(seen)) === 'the server does not answer in time', {
    withinMs: 15_000,
  })
  const [before, stirred] = [asked(hostile), stirs.length]
  for (let times = 0; times < 50; times++) await failure(seen)
  expect([asked(hostile), stirs.length]).toEqual([before, stirred])
}, 20_000)

test('what was under way when the rest began makes it no longer; a minute of good answers makes the next one short', () => {
  const clock = { nowMs: 0 }
  const breaker = new Breaker({ nowMs: () => clock.nowMs, onRested: () => {} })
  toClose.push(breaker)
  const restsFor = () => {
    let ms = 0
    for (; breaker.isResting; ms += 100) clock.nowMs += 100
    return ms
  }
  for (const restMs of [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
    for (let times = 0; times < 8; times++) breaker.missed()
    expect(restsFor()).toBe(restMs)
  }
  clock.nowMs += 60_001
  breaker.missed()
  expect(restsFor()).toBe(5_000)
  for (const lossesMs of [0, 6_000, 6_000, 6_000]) {
    clock.nowMs += lossesMs
    breaker.lost()
    expect(breaker.isResting).toBe(false)
  }
  breaker.lost()
  breaker.lost()
  expect(breaker.isResting).toBe(true)
})

test.each([
  ['shop.mail', [], true],
  ['shop.', [], true],
  ['mail', [], false],
  ['shopping.mail', [], false],
  ['payroll.mail', [], false],
  ['payroll.mail', ['payroll.mail'], true],
  ['payroll.mails', ['payroll.mail'], false],
  ['legacy.mail', ['legacy.'], true],
  ['legacy', ['legacy.'], false],
  ['payroll.mail', ['*'], true],
])(
  'a queue of the namespace shop that is called %s, where %j are listed: %s',
  async (name, queueNames, isAllowed) => {
    const { servers } = openServers({ 'millhand-redis': redisUrl() }, { queueNames })
    toClose.push(servers)
    const opened = await servers.open(name, place)
    if (isAllowed) expect(opened.kind).toBe('open')
    else
      expect(opened).toMatchObject({
        reason: 'QueueNameNotAllowed',
        message: expect.stringContaining('shop.'),
      })
    expect(servers.queues.length).toBe(isAllowed ? 1 : 0)
  },
)

test('a look that fails is a failure of Redis, whatever the server did', async () => {
  const { seen } = await operatorAt(personas['silence at once'])
  await expect(seen.look()).rejects.toBeInstanceOf(RedisUnavailable)
}, 20_000)
