// The users of the README, made on a real server from exactly its lines: each can do what it is for, and no more.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { connect } from 'millhand/client'
import {
  type Connection,
  connectRedis,
  defaultSettings,
  examineServer,
  newJob,
  openQueue,
  stirredChannel,
} from 'millhand/queue'
import { loadScripts, type Verb } from '../../../worker-runtime/src/queue/scripts.ts'
import { eventually } from '../../eventually.ts'
import { RedisServer } from '../../redis-server.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'

const README = new URL('../../../worker-runtime/README.md', import.meta.url)
const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))
const REFUSED = /^NOPERM|The user executing the script can't|ACL failure in script/

const section = /<!-- acl -->([\s\S]*)<!-- \/acl -->/.exec(readFileSync(README, 'utf8'))?.[1] ?? ''
const lines = [...section.matchAll(/^ACL SETUSER (\S+) (.*)$/gm)].map(([, user = '', rules = '']) => ({
  user,
  rules: rules.split(' '),
}))

type Role = 'producer' | 'worker' | 'operator' | 'viewer'
const verbsOf: Record<Role, readonly Verb[]> = {
  producer: ['enqueue', 'job', 'cancel'],
  worker: ['register', 'renew', 'deregister', 'resync', 'settle-and-claim', 'reap', 'report'],
  operator: ['configure', 'release', 'depth', 'workers', 'drain', 'reap', 'witness'],
  viewer: ['depth', 'jobs', 'job', 'workers'],
}
const connecting = ['evalsha', 'eval', 'info', 'client|setname', 'cluster|slots', 'asking']
const listening = ['subscribe', 'unsubscribe']
const examining = ['cluster|info', 'time']
const besidesScripts: Record<Role, readonly string[]> = {
  producer: [...connecting, ...listening],
  worker: [...connecting, ...listening, ...examining, 'bzpopmin', 'ping'],
  operator: [...connecting, ...listening, ...examining],
  viewer: [...connecting, ...examining, 'exists'],
}
const roles = Object.keys(verbsOf) as Role[]

/** Commands that the scripts of these verbs may run. */
function commandsOf(verbs: readonly Verb[]): string[] {
  const scripts = loadScripts()
  return verbs.flatMap((verb) => {
    const source = scripts[verb].source.replaceAll(/--.*$/gm, '')
    const named = [...source.matchAll(/redis\.call\('(\w+)'/g)].map(([, command = '']) =>
      command.toLowerCase(),
    )
    // Two scripts choose between two commands.
    if (source.includes('redis.call(side')) named.push('lpush', 'rpush')
    if (source.includes('redis.call(order')) named.push('zrange', 'zrevrange')
    return named
  })
}

test('the README gives a line to each role, and to none a command that it does not use', () => {
  expect(lines.map(({ user }) => user)).toEqual(roles.map((role) => `shop-${role}`))
  for (const [at, role] of roles.entries()) {
    const allowed = (lines[at]?.rules ?? [])
      .filter((rule) => rule.startsWith('+'))
      .map((rule) => rule.slice(1))
    expect(allowed.length).toBe(new Set(allowed).size)
    expect([...allowed].sort()).toEqual(
      [...new Set([...commandsOf(verbsOf[role]), ...besidesScripts[role]])].sort(),
    )
  }
})

describe('on a server', () => {
  let server: RedisServer
  let admin: Connection
  const opened: { close(): void }[] = []
  const urlOf = (user: string) => server.url.replace('//', `//${user}:change-me@`)
  const connectAs = (role: Role) => {
    const redis = connectRedis(urlOf(`shop-${role}`), { name: 'acl' })
    opened.push(redis)
    return redis
  }
  const queueAs = (role: Role, name = 'shop.mail') => openQueue(connectAs(role), name)
  /** What this user was refused so far; a refusal that nobody noticed is one too. */
  const refusedTo = async (user: string) => {
    const log = (await admin.call('ACL', 'LOG')) as unknown[][]
    return log
      .map((flat) => Object.fromEntries(flat.flatMap((each, i) => (i % 2 ? [] : [[each, flat[i + 1]]]))))
      .filter(({ username }) => username === user)
  }
  const refused = (call: Promise<unknown>) => expect(call).rejects.toThrow(REFUSED)

  beforeAll(async () => {
    server = await RedisServer.start()
    admin = connectRedis(server.url)
    for (const { user, rules } of lines) expect(await admin.call('ACL', 'SETUSER', user, ...rules)).toBe('OK')
    await openQueue(admin, 'other.mail').enqueue([newJob('task', 1, { id: 'theirs' })])
  })
  beforeEach(() => admin.call('ACL', 'LOG', 'RESET'))
  afterEach(() => {
    for (const each of opened.splice(0)) each.close()
  })
  afterAll(async () => {
    admin.close()
    await server.remove()
  })

  const startWorkerAs = (user: string) =>
    startWorker({
      redisUrl: urlOf(user),
      queues: ['mail'],
      namespace: 'shop',
      modules: [TINY],
      isolation: 'Reuse',
      slots: 2,
    })
  const connectProducer = () => {
    const client = connect({ redis: urlOf('shop-producer'), namespace: 'shop' })
    opened.push(client)
    return client.queue('mail')
  }

  test('producer and worker: jobs are enqueued, run, waited for, retried, cancelled, and nothing was refused', async () => {
    const worker = await startWorkerAs('shop-worker')
    try {
      const mail = connectProducer()
      // It sleeps by now on the marker that this enqueue sets.
      const done = await mail.enqueue('succeeds', { a: 1 })
      expect(await done.result({ timeoutMs: 20_000 })).toMatchObject({ input: { a: 1 } })
      const failing = await mail.enqueue('throws', { message: 'no' }, { maxAttempts: 2, backoffMs: 1 })
      await expect(failing.result({ timeoutMs: 20_000 })).rejects.toThrow(/buried after 2/)
      const running = await mail.enqueue('sleeps-forever', {})
      await eventually(async () => (await running.state()) === 'held')
      const cancelled = expect(running.result({ timeoutMs: 20_000 })).rejects.toThrow('cancelled')
      expect(await running.cancel()).toBe('cancelling')
      await cancelled
      const later = await mail.enqueue('succeeds', {}, { delayMs: 3_600_000 })
      expect(await later.cancel()).toBe('cancelled')
      await mail.enqueueMany([{ task: 'succeeds', input: 1, options: { id: 'twice' } }])
      const [again] = await mail.enqueueMany([{ task: 'succeeds', input: 1, options: { id: 'twice' } }])
      expect(again?.enqueued).not.toBe('created')
      await alive(worker)
    } finally {
      await worker.stop()
    }
    expect(worker.lines.filter(({ level }) => level === 'error')).toEqual([])
    expect(await refusedTo('shop-producer')).toEqual([])
    // It asks how often the append-only file reaches the disk, and takes no for an answer.
    expect((await refusedTo('shop-worker')).filter(({ object }) => !/^config/.test(String(object)))).toEqual(
      [],
    )
  }, 60_000)

  /** Its heartbeat goes on: it was renewed since it started. */
  const alive = async (worker: WorkerProcess) => {
    const startedWith = await admin.call('GET', 'mh:{shop.mail}:tick')
    await eventually(async () => (await admin.call('GET', 'mh:{shop.mail}:tick')) !== startedWith)
    expect(worker.child.exitCode).toBeNull()
  }

  test('a worker puts back what another one held', async () => {
    const queue = queueAs('worker')
    const entry = { process: 'p', pod: '', podUid: '', poolUid: '', node: '', slots: 1 }
    const more = { isolation: 'Spawn', isolationNote: '', version: '0' }
    await queueAs('producer').enqueue([newJob('task', 1, { id: 'held' })])
    await queue.register({ ...entry, ...more, worker: 'p:1' })
    await queue.settleAndClaim('p:1', 0, [], 1)
    await queue.report('p:1', [])
    expect(await queue.resync('p:1', 1)).toMatchObject({ kind: 'alive', held: [{ id: 'held' }] })
    expect(await queue.reap('p:1', 'sure', 'test')).toBe(1)
    await queueAs('producer').cancel('held')
    expect(await refusedTo('shop-worker')).toEqual([])
  })

  test('the operator does what an operator does', async () => {
    const redis = connectAs('operator')
    const messages = connectAs('operator')
    const queue = openQueue(redis, 'shop.declared')
    let stirs = 0
    await messages.subscribe(stirredChannel('shop.declared'), () => {
      stirs += 1
    })
    expect(await queue.configure({ ...defaultSettings, ownerUid: 'me', maxBusy: 3 })).toBe('configured')
    expect(await queue.configure({ ...defaultSettings, ownerUid: 'me' })).toBe('configured')
    await queueAs('producer', 'shop.declared').enqueue([newJob('task', 1)])
    await eventually(() => stirs > 0)
    const worker = queueAs('worker', 'shop.declared')
    const entry = { process: 'p', pod: '', podUid: 'u', poolUid: '', node: '', slots: 1, version: '0' }
    await worker.register({ ...entry, isolation: 'Spawn', isolationNote: '', worker: 'p:1' })
    await worker.settleAndClaim('p:1', 0, [], 1)
    await queue.drain(['u'], 60_000)
    expect(await queue.depth()).toMatchObject({ busy: 1 })
    expect(await queue.workers()).toMatchObject([{ name: 'p:1', held: 1, draining: true }])
    await queue.undrain(['u'])
    expect(await queue.reapProcess('p', 'test')).toBe(1)
    expect(await queue.reap('p:1', 'sure', 'test', 'uncounted')).toBe(0)
    expect(await queue.release('me')).toBe('')
    const { findings } = await examineServer(redis, { nowMs: () => Date.now() })
    expect(findings.filter(({ severity }) => severity === 'warning' || severity === 'problem')).toEqual([])
    const refusals = await refusedTo('shop-operator')
    expect(refusals.filter(({ object }) => !/^config/.test(String(object)))).toEqual([])
  })

  test('one user that is both, for the Secret of a namespace', async () => {
    const rules = (role: Role) => lines.find(({ user }) => user === `shop-${role}`)?.rules ?? []
    const additions = rules('operator').slice(rules('operator').findIndex((rule) => rule.startsWith('+')))
    await admin.call('ACL', 'SETUSER', 'shop-both', ...rules('worker'))
    await admin.call('ACL', 'SETUSER', 'shop-both', ...additions)
    const redis = connectRedis(urlOf('shop-both'))
    opened.push(redis)
    const queue = openQueue(redis, 'shop.both')
    await queue.configure({ ...defaultSettings, ownerUid: 'me' })
    await queue.renew('nobody')
    expect((await queue.depth()).ready).toBe(0)
    expect(await refusedTo('shop-both')).toEqual([])
  })

  test('the viewer sees everything of its namespace, and can change nothing', async () => {
    const id = 'looked-at'
    await queueAs('producer').enqueue([newJob('task', 1, { id }), newJob('task', 2, { delayMs: 60_000 })])
    const redis = connectAs('viewer')
    const queue = openQueue(redis, 'shop.mail')
    expect((await queue.depth()).ready).toBeGreaterThan(0)
    expect(await queue.job(id)).toMatchObject({ state: 'ready' })
    for (const state of ['ready', 'delayed', 'held', 'buried', 'completed'] as const)
      expect(Array.isArray(await queue.jobs(state))).toBe(true)
    await queue.workers()
    await examineServer(redis, { nowMs: () => Date.now() })
    const refusals = await refusedTo('shop-viewer')
    expect(refusals.filter(({ object }) => !/^config/.test(String(object)))).toEqual([])

    const before = await admin.call('HGETALL', 'mh:{shop.mail}:counts')
    await refused(queue.enqueue([newJob('task', 1)]))
    await refused(queue.cancel(id))
    await refused(queue.pause())
    await refused(queue.retry(['x']))
    await refused(queue.delete(['x']))
    await refused(queue.configure(defaultSettings))
    await refused(queue.drain(['u'], 1_000))
    await refused(redis.call('EVAL', "return redis.call('DEL', KEYS[1])", 1, 'mh:{shop.mail}:counts'))
    await refused(redis.call('SUBSCRIBE', stirredChannel('shop.mail')))
    expect(await admin.call('HGETALL', 'mh:{shop.mail}:counts')).toEqual(before)
    expect(await queue.job(id)).toMatchObject({ state: 'ready' })
  })

  test.each(roles)(
    'the %s cannot leave its namespace, nor touch the server, by a script neither',
    async (role) => {
      const redis = connectAs(role)
      const other = openQueue(redis, 'other.mail')
      await refused(other.depth())
      await refused(other.job('theirs'))
      await refused(other.enqueue([newJob('task', 1)]))
      await refused(other.cancel('theirs'))
      await refused(redis.call('GET', 'mh:{other.mail}:job:theirs'))
      // Neither a namespace that begins alike, nor a key that another program calls similarly.
      for (const key of ['mh:{shopping.mail}:job:x', 'mh:shop.mail', 'shop.mail', 'x'])
        await refused(redis.call('GET', key))
      for (const [command, ...args] of [
        ['FLUSHALL'],
        ['FLUSHDB'],
        ['KEYS', '*'],
        ['SCAN', '0'],
        ['CONFIG', 'GET', '*'],
        ['CONFIG', 'SET', 'maxmemory', '1'],
        ['ACL', 'LIST'],
        ['CLIENT', 'KILL', 'TYPE', 'normal'],
        ['SHUTDOWN', 'NOSAVE'],
        ['SCRIPT', 'FLUSH'],
        ['SWAPDB', '0', '1'],
        ['SUBSCRIBE', stirredChannel('other.mail')],
      ] as [string, ...string[]][])
        await refused(redis.call(command, ...args))
      // A key that the call does not name, and one that it does.
      const reading = "return redis.call('GET', 'mh:{other.mail}:job:theirs')"
      await refused(redis.call('EVAL', reading, 0))
      await refused(redis.call('EVAL', reading, 1, 'mh:{shop.mail}:config'))
      await refused(redis.call('EVAL', "return redis.call('GET', KEYS[1])", 1, 'mh:{other.mail}:job:theirs'))
      await refused(redis.call('EVAL', "return redis.call('FLUSHALL')", 0))
      await refused(
        redis.call('EVAL', `return redis.call('PUBLISH', '${stirredChannel('other.mail')}', '')`, 0),
      )
      expect((await openQueue(admin, 'other.mail').depth()).ready).toBe(1)
    },
  )
})
