// The users of docs/redis.md, made on a real server from exactly its lines: each can do what it is for, and no more.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { connect } from 'millhand/client'
import { examineServer } from 'millhand/doctor'
import {
  type Connection,
  connectRedis,
  defaultSettings,
  newJob,
  openQueue,
  parseFilter,
  prefixOf,
  type Queue,
  slotOf,
  stirredChannel,
} from 'millhand/queue'
import { loadScripts, type Verb } from '../../../worker-runtime/src/queue/scripts.ts'
import { eventually } from '../../eventually.ts'
import { ask, RedisCluster } from '../../redis-forms.ts'
import { RedisServer } from '../../redis-server.ts'
import { redis62, valkey } from '../../redis-versions.ts'
import { startWorker, type WorkerProcess } from '../../worker-process.ts'

const PAGE = new URL('../../../docs/redis.md', import.meta.url)
const TINY = fileURLToPath(new URL('../../tasks/tiny.ts', import.meta.url))
const REFUSED = /^NOPERM|The user executing the script can't|ACL failure in script/

const section = /<!-- acl -->([\s\S]*)<!-- \/acl -->/.exec(readFileSync(PAGE, 'utf8'))?.[1] ?? ''
const all = [...section.matchAll(/^ACL SETUSER (\S+) (.*)$/gm)].map(([, user = '', rules = '']) => ({
  user,
  rules: rules.split(' '),
}))
/** The last three: what a producer needs to ask for more, and who asks a Sentinel. */
const [lines, [replicated, fsync, atSentinel]] = [all.slice(0, -3), all.slice(-3)]

type Role = 'producer' | 'worker' | 'operator' | 'dashboard' | 'viewer'
const ofOperator: readonly Verb[] = [
  'forward',
  'accept',
  'configure',
  'release',
  'depth',
  'workers',
  'drain',
  'reap',
  'witness',
  'sample',
  ...(['set-schedule', 'delete-schedule', 'schedules', 'due', 'fire'] as const),
]
const verbsOf: Record<Role, readonly Verb[]> = {
  producer: [
    ...(['enqueue', 'wait', 'unwait', 'job', 'cancel', 'delete', 'watch', 'events'] as const),
    ...(['set-schedule', 'place-schedule', 'delete-schedule', 'run-schedule', 'schedules'] as const),
    ...(['flow-stage', 'flow-start'] as const),
    ...(['flow-cancel', 'flow-retry', 'flow-look', 'flows', 'forward', 'accept'] as const),
    ...(['batch-add', 'batch-close'] as const),
  ],
  worker: [
    ...(['register', 'renew', 'deregister', 'resync', 'exchange', 'reap', 'report'] as const),
    ...(['save', 'forward', 'accept', 'flow-add', 'due', 'fire'] as const),
  ],
  operator: ofOperator,
  dashboard: [
    ...ofOperator,
    ...([
      'enqueue',
      'wait',
      'unwait',
      'find',
      'job',
      'key',
      'why',
      'events',
      'watch',
      'groups',
      'mute',
      'history',
    ] as const),
    ...(['end-rest', 'rests'] as const),
    ...(['cancel', 'retry', 'delete', 'pause', 'act', 'action', 'actions', 'restore', 'follow'] as const),
    ...(['place-schedule', 'run-schedule'] as const),
    ...(['flows', 'flow-look', 'flow-cancel', 'flow-retry'] as const),
  ],
  viewer: [
    ...(['depth', 'find', 'job', 'key', 'why', 'workers', 'events', 'groups', 'history'] as const),
    // flow-look too, which writes only for who waits.
    ...(['schedules', 'flows', 'rests'] as const),
  ],
}
const connecting = ['evalsha', 'eval', 'info', 'client|setname', 'cluster|slots', 'asking']
const listening = ['subscribe', 'unsubscribe']
const examining = ['cluster|info', 'time']
const besidesScripts: Record<Role, readonly string[]> = {
  producer: [...connecting, ...listening],
  worker: [...connecting, ...listening, ...examining, 'bzpopmin', 'ping'],
  operator: [...connecting, ...listening, ...examining],
  dashboard: [...connecting, ...listening, ...examining],
  // hscan: of flow-look.
  viewer: [...connecting, ...examining, 'exists', 'hscan'],
}
const roles = Object.keys(verbsOf) as Role[]

/** Commands that the scripts of these verbs may run. */
function commandsOf(verbs: readonly Verb[]): string[] {
  const scripts = loadScripts()
  return verbs.flatMap((verb) => {
    const source = scripts[verb].source.replaceAll(/--.*$/gm, '')
    const named = [...source.matchAll(/redis\.p?call\('(\w+)'/g)].map(([, command = '']) =>
      command.toLowerCase(),
    )
    // Two scripts choose between two commands.
    if (source.includes('redis.call(push')) named.push('lpush', 'rpush')
    if (source.includes('redis.call(order')) named.push('zrange', 'zrevrange')
    return named
  })
}

test('the page gives a line to each role, and to none a command that it does not use', () => {
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

/** What this user was refused so far; a refusal that nobody noticed is one too. */
async function refusedBy(admin: Connection, user: string) {
  const log = (await admin.call('ACL', 'LOG')) as unknown[][]
  return log
    .map((flat) => Object.fromEntries(flat.flatMap((each, i) => (i % 2 ? [] : [[each, flat[i + 1]]]))))
    .filter(({ username }) => username === user)
}

const notConfig = ({ object }: Record<string, unknown>) => !/^config/.test(String(object))

const startWorkerAt = (redisUrl: string) =>
  startWorker({
    redisUrl,
    queues: ['mail'],
    namespace: 'shop',
    modules: [TINY],
    isolation: 'Reuse',
    slots: 2,
  })

const loginOf = (url: string, user: string) => url.replace('//', `//${user}:change-me@`)

describe('on a server', () => {
  let server: RedisServer
  let admin: Connection
  const opened: { close(): void }[] = []
  const urlOf = (user: string) => loginOf(server.url, user)
  const connectAs = (role: Role) => {
    const redis = connectRedis(urlOf(`shop-${role}`), { name: 'acl' })
    opened.push(redis)
    return redis
  }
  const queueAs = (role: Role, name = 'shop.mail') => openQueue(connectAs(role), name)
  const refusedTo = (user: string) => refusedBy(admin, user)
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

  const startWorkerAs = (user: string) => startWorkerAt(urlOf(user))
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
    expect((await refusedTo('shop-worker')).filter(notConfig)).toEqual([])
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
    await queue.settleAndClaim({ worker: 'p:1', wanted: 1 })
    await queue.report('p:1', [])
    expect(await queue.resync('p:1', 1)).toMatchObject({ kind: 'alive', held: [{ id: 'held' }] })
    expect(await queue.reap({ worker: 'p:1', evidence: 'sure', reason: 'test' })).toBe(1)
    await queueAs('producer').cancel('held')
    expect(await refusedTo('shop-worker')).toEqual([])
  })

  test('the operator does what an operator does', async () => {
    const redis = connectAs('operator')
    const messages = connectAs('operator')
    const queue = openQueue(redis, 'shop.declared')
    let stirs = 0
    await messages.subscribe(stirredChannel('shop.declared', 0), () => {
      stirs += 1
    })
    expect(await queue.configure({ ...defaultSettings, ownerUid: 'me', maxBusy: 3 })).toBe('configured')
    expect(await queue.configure({ ...defaultSettings, ownerUid: 'me' })).toBe('configured')
    await queueAs('producer', 'shop.declared').enqueue([newJob('task', 1)])
    await eventually(() => stirs > 0)
    const worker = queueAs('worker', 'shop.declared')
    const entry = { process: 'p', pod: '', podUid: 'u', poolUid: '', node: '', slots: 1, version: '0' }
    await worker.register({ ...entry, isolation: 'Spawn', isolationNote: '', worker: 'p:1' })
    await worker.settleAndClaim({ worker: 'p:1', wanted: 1 })
    await queue.drain(['u'], 60_000)
    expect(await queue.depth()).toMatchObject({ busy: 1 })
    expect(await queue.workers()).toMatchObject([{ name: 'p:1', held: 1, draining: true }])
    await queue.undrain(['u'])
    expect(await queue.reapProcess({ process: 'p', reason: 'test' })).toBe(1)
    expect(await queue.reap({ worker: 'p:1', evidence: 'sure', reason: 'test', counting: 'uncounted' })).toBe(
      0,
    )
    expect(await queue.release('me')).toBe('')
    const { findings } = await examineServer(redis, { nowMs: () => Date.now() })
    expect(findings.filter(({ severity }) => severity === 'warning' || severity === 'problem')).toEqual([])
    const refusals = await refusedTo('shop-operator')
    expect(refusals.filter(notConfig)).toEqual([])
  })

  test('the operator with a dashboard does what people ask it for', async () => {
    const redis = connectAs('dashboard')
    const queue = openQueue(redis, 'shop.asked')
    expect(await queue.configure({ ...defaultSettings, ownerUid: 'me' })).toBe('configured')
    const job = newJob('task', 1, { delayMs: 60_000 })
    await queue.enqueue([job])
    expect((await queue.find(parseFilter('state:delayed', Date.now()), { limit: 10 })).jobs).toHaveLength(1)
    expect(await queue.job(job.id)).toMatchObject({ state: 'delayed' })
    expect(await queue.why(job.id)).toMatchObject({ state: 'delayed' })
    await queue.pause()
    await queue.resume()
    expect(await queue.cancel(job.id)).not.toBe('cancelling')
    await queue.retry([job.id])
    await queue.delete([job.id])
    await queue.workers()
    await queue.depth()
    const refusals = await refusedTo('shop-dashboard')
    expect(refusals.filter(notConfig)).toEqual([])
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
    expect(await queue.why(id)).toMatchObject({ state: 'ready' })
    await queue.workers()
    await examineServer(redis, { nowMs: () => Date.now() })
    const refusals = await refusedTo('shop-viewer')
    const ended = newJob('task', 3, { delayMs: 60_000 })
    await openQueue(admin, 'shop.mail').enqueue([ended])
    await openQueue(admin, 'shop.mail').cancel(ended.id)
    expect(refusals.filter(notConfig)).toEqual([])

    const before = await admin.call('HGETALL', 'mh:{shop.mail}:counts')
    await refused(queue.enqueue([newJob('task', 1)]))
    await refused(queue.cancel(id))
    await refused(queue.pause())
    await refused(queue.retry(['x']))
    await refused(queue.delete([ended.id]))
    await refused(queue.configure(defaultSettings))
    await refused(queue.drain(['u'], 1_000))
    await refused(redis.call('EVAL', "return redis.call('DEL', KEYS[1])", 1, 'mh:{shop.mail}:counts'))
    await refused(redis.call('SUBSCRIBE', stirredChannel('shop.mail', 0)))
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
        ['SUBSCRIBE', stirredChannel('other.mail', 0)],
      ] as [string, ...string[]][])
        await refused(redis.call(command, ...args))
      // A key that the call does not name, and one that it does.
      const reading = "return redis.call('GET', 'mh:{other.mail}:job:theirs')"
      await refused(redis.call('EVAL', reading, 0))
      await refused(redis.call('EVAL', reading, 1, 'mh:{shop.mail}:config'))
      await refused(redis.call('EVAL', "return redis.call('GET', KEYS[1])", 1, 'mh:{other.mail}:job:theirs'))
      await refused(redis.call('EVAL', "return redis.call('FLUSHALL')", 0))
      await refused(
        redis.call('EVAL', `return redis.call('PUBLISH', '${stirredChannel('other.mail', 0)}', '')`, 0),
      )
      expect((await openQueue(admin, 'other.mail').depth()).ready).toBe(1)
    },
  )
})

test.each([
  ['Redis 6.2', redis62],
  ['Valkey', valkey],
])(
  '%s knows the same lines',
  async (_name, binary) => {
    const server = await RedisServer.start({ binary: await binary() })
    const admin = connectRedis(server.url)
    try {
      for (const { user, rules } of lines)
        expect(await admin.call('ACL', 'SETUSER', user, ...rules)).toBe('OK')
      const worker = await startWorkerAt(loginOf(server.url, 'shop-worker'))
      const client = connect({ redis: loginOf(server.url, 'shop-producer'), namespace: 'shop' })
      await (await client.queue('mail').enqueue('succeeds', {})).result({ timeoutMs: 30_000 })
      client.close()
      await worker.stop()
      for (const [user, look] of [
        ['shop-viewer', (queue: Queue) => queue.depth()],
        ['shop-operator', (queue: Queue) => queue.configure(defaultSettings)],
      ] as const) {
        const redis = connectRedis(loginOf(server.url, user))
        await look(openQueue(redis, 'shop.mail'))
        redis.close()
      }
      for (const { user } of lines) expect((await refusedBy(admin, user)).filter(notConfig)).toEqual([])
    } finally {
      admin.close()
      await server.remove()
    }
  },
  120_000,
)

describe('durability', () => {
  const enqueue = (server: RedisServer, durability: 'fsync' | 'replicated') => {
    const client = connect({ redis: loginOf(server.url, 'shop-producer'), namespace: 'shop' })
    return client
      .queue('mail')
      .enqueue('task', 1, { durability, id: durability })
      .finally(() => client.close())
  }
  const refused = (rights: string) => ({
    code: 'NOT_DURABLE',
    message: expect.stringContaining(`this user may not ask for it: allow ${rights}`),
  })

  test('each of the lines for it allows it, and without them nothing is written and the right is named', async () => {
    const binary = await valkey()
    const server = await RedisServer.start({ binary })
    const args = ['--replicaof', '127.0.0.1', String(server.port), '--repl-diskless-sync-delay', '0']
    const replica = await RedisServer.start({ binary, args })
    const admin = connectRedis(server.url)
    try {
      await eventually(async () => String(await admin.call('INFO', 'replication')).includes('state=online'))
      const allow = ({ user = '', rules = [] as string[] } = {}) =>
        admin.call('ACL', 'SETUSER', user, ...rules)
      await allow(lines[0])
      await expect(enqueue(server, 'fsync')).rejects.toMatchObject(refused('+waitaof'))
      await expect(enqueue(server, 'replicated')).rejects.toMatchObject(refused('+wait and +role'))
      await admin.call('ACL', 'SETUSER', 'shop-producer', '+role')
      await expect(enqueue(server, 'replicated')).rejects.toMatchObject(refused('+wait and +role'))
      await admin.call('ACL', 'SETUSER', 'shop-producer', '-role')
      expect((await openQueue(admin, 'shop.mail').depth()).counts.enqueued).toBe(0)
      await admin.call('ACL', 'LOG', 'RESET')
      await allow(fsync)
      expect((await enqueue(server, 'fsync')).enqueued).toBe('created')
      await allow(replicated)
      expect((await enqueue(server, 'replicated')).enqueued).toBe('created')
      expect(await refusedBy(admin, 'shop-producer')).toEqual([])
    } finally {
      admin.close()
      await Promise.all([server.remove(), replica.remove()])
    }
  }, 120_000)
})

test('behind Sentinels who ask: one line there, and it allows nothing else', async () => {
  const server = await RedisServer.start()
  const sentinel = await RedisServer.start({ sentinel: [`sentinel monitor jobs 127.0.0.1 ${server.port} 1`] })
  const [admin, atServer] = [connectRedis(sentinel.url), connectRedis(server.url)]
  const user = atSentinel?.user ?? ''
  const name = `/jobs?sentinelUsername=${user}&sentinelPassword=change-me`
  const urlOf = (login: string) =>
    `${loginOf(sentinel.url, login).replace('redis:', 'redis+sentinel:')}${name}`
  try {
    for (const line of lines) await atServer.call('ACL', 'SETUSER', line.user, ...line.rules)
    await admin.call('ACL', 'SETUSER', user, ...(atSentinel?.rules ?? []))
    await admin.call('ACL', 'SETUSER', 'default', 'off')
    const worker = await startWorkerAt(urlOf('shop-worker'))
    const client = connect({ redis: urlOf('shop-producer'), namespace: 'shop' })
    const job = await client.queue('mail').enqueue('succeeds', {})
    await job.result({ timeoutMs: 30_000 })
    client.close()
    await worker.stop()
    expect(await refusedBy(admin, user)).toEqual([])
    const asUser = connectRedis(loginOf(sentinel.url, user))
    for (const command of [
      ['SENTINEL', 'REMOVE', 'jobs'],
      ['SENTINEL', 'FAILOVER', 'jobs'],
      ['SENTINEL', 'MASTERS'],
      ['SUBSCRIBE', '+odown'],
      ['ACL', 'LIST'],
      ['SHUTDOWN'],
    ] as [string, ...string[]][])
      await expect(asUser.call(...command)).rejects.toThrow(REFUSED)
    asUser.close()
  } finally {
    admin.close()
    atServer.close()
    await Promise.all([server.remove(), sentinel.remove()])
  }
}, 60_000)

test('in a Cluster: the lines at every server are enough, also while a slot moves', async () => {
  const cluster = await RedisCluster.start()
  try {
    for (const server of cluster.servers)
      for (const { user, rules } of lines) await ask(server, 'ACL', 'SETUSER', user, ...rules)
    const worker = await startWorkerAt(loginOf(cluster.url, 'shop-worker'))
    const client = connect({ redis: loginOf(cluster.url, 'shop-producer'), namespace: 'shop' })
    const mail = client.queue('mail')
    const jobs = [await mail.enqueue('succeeds', {})]
    const moving = cluster.moveSlot(slotOf(prefixOf(mail.name)))
    let isMoving = true
    void moving.then(() => {
      isMoving = false
    })
    do jobs.push(await mail.enqueue('succeeds', {}))
    while (isMoving)
    await moving
    for (const job of jobs) await job.result({ timeoutMs: 30_000 })
    client.close()
    await worker.stop()
    const viewer = connectRedis(loginOf(cluster.url, 'shop-viewer'))
    expect((await openQueue(viewer, mail.name).depth()).counts.completed).toBe(jobs.length)
    expect((await examineServer(viewer, { nowMs: () => Date.now() })).servers).toHaveLength(3)
    viewer.close()
    const operator = connectRedis(loginOf(cluster.url, 'shop-operator'))
    expect(await openQueue(operator, mail.name).configure(defaultSettings)).toBe('configured')
    operator.close()
    for (const server of cluster.servers) {
      const admin = connectRedis(server.url)
      for (const { user } of lines) expect((await refusedBy(admin, user)).filter(notConfig)).toEqual([])
      admin.close()
    }
  } finally {
    await cluster.remove()
  }
}, 120_000)
