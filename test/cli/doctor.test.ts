// millhand doctor, with real servers that are well, badly set, unreachable, secret, or no Redis at all.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server } from 'node:net'
import {
  type Connection,
  connectRedis,
  newJob,
  openQueue,
  prefixOf,
  type RedisAccess,
  slotOf,
} from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { FaultProxy } from '../fault-proxy.ts'
import { freePort } from '../free-port.ts'
import { otherAuthority, RedisCluster, TlsServer } from '../redis-forms.ts'
import { RedisServer } from '../redis-server.ts'
import { redis62, valkey } from '../redis-versions.ts'
import { millhand, ownNamespace, PATIENCE_MS } from './millhand.ts'

interface FoundOne {
  check: string
  severity: string
  message: string
  remedy?: string
}
interface Report {
  redis: { address: string; servers: unknown[]; findings: FoundOne[] }
  queues: { queue: string; findings: FoundOne[] }[]
}

const WELL = ['--maxmemory', '1gb']
const namespace = ownNamespace()
const doctor = (args: readonly string[], env: Record<string, string | undefined> = {}) =>
  millhand(['doctor', ...args], { env })
const examined = async (args: readonly string[], env: Record<string, string | undefined> = {}) => {
  const { code, stdout, stderr } = await doctor([...args, '--json'], env)
  return { code, stderr, stdout, report: JSON.parse(stdout) as Report }
}
const checks = (findings: readonly FoundOne[] = []) =>
  findings.filter(({ severity }) => severity !== 'ok').map(({ check, severity }) => `${check} ${severity}`)

describe('a server that answers', () => {
  let server: RedisServer
  let redis: Connection
  beforeAll(async () => {
    server = await RedisServer.start({ args: WELL })
    redis = connectRedis(server.url)
  })
  afterAll(async () => {
    redis.close()
    await server.remove()
  })
  const queueOf = (name: string) => openQueue(redis, `${namespace}.${name}`)
  const ask = (...args: string[]) => examined([...args, '--redis', server.url, '--namespace', namespace])

  test('with nothing to mend: what it is, in a page, and success', async () => {
    await queueOf('idle').pause()
    await queueOf('idle').resume()
    // What looks like a queue, but has no name of one, harms nobody who looks.
    await redis.call('HSET', 'mh:{$(reboot) X}:config', 'layout', 1)
    const { code, stdout, stderr } = await doctor(['--redis', server.url, '--namespace', namespace])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(
      new RegExp(`^Redis at 127\\.0\\.0\\.1:${server.port} \\((Redis|Valkey) [\\d.]+\\)\n`),
    )
    expect(stdout).toMatch(/^ {2}ok {7}maxmemory-policy is noeviction/m)
    expect(stdout).toContain(`1 queue without findings: ${namespace}.idle`)
    expect(stdout).not.toMatch(/warning|problem|note|→/)
    // No colours where there is no terminal.
    expect(stdout.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
  })

  test('badly set: the worst first, each with what to do, and failure', async () => {
    await redis.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    await redis.call('CONFIG', 'SET', 'appendfsync', 'no')
    const { code, stdout, stderr } = await doctor(['--redis', server.url])
    await redis.call('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
    await redis.call('CONFIG', 'SET', 'appendfsync', 'everysec')
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'millhand: found 1 problem and 1 warning\n' })
    expect(stdout).toMatch(
      /^ {2}problem {2}maxmemory-policy is allkeys-lru.*\n {11}→ .*CONFIG SET maxmemory-policy noeviction.*\n {2}warning {2}.*appendfsync no.*\n {11}→ .*\n {2}ok/m,
    )
  })

  test('queues: what keeps them from their work, and the remedy that is named mends it', async () => {
    const queue = queueOf('stopped')
    await queue.enqueue([newJob('task', 1)])
    await queue.pause()
    const paused = await ask('stopped')
    expect(paused.code).toBe(1)
    expect(checks(paused.report.queues[0]?.findings)).toEqual(['Paused warning'])
    const remedy = paused.report.queues[0]?.findings[0]?.remedy ?? ''
    expect(remedy).toBe('millhand resume stopped')
    const env = { MILLHAND_REDIS_URL: server.url, MILLHAND_NAMESPACE: namespace }
    expect((await millhand(remedy.split(' ').slice(1), { env })).code).toBe(0)
    const resumed = await ask('stopped')
    expect(resumed.code).toBe(0)
    expect(checks(resumed.report.queues[0]?.findings)).toEqual(['Workers note'])
  })

  test('a command for a queue of another namespace names that', async () => {
    await queueOf('elsewhere').pause()
    const { report } = await examined(['--redis', server.url])
    const found = report.queues.find(({ queue }) => queue === `${namespace}.elsewhere`)
    expect(found?.findings[0]?.remedy).toBe(`millhand resume elsewhere --namespace ${namespace}`)
  })

  test('what only Redis knows: a newer layout, a limit, a worker that hangs, jobs that failed for good', async () => {
    const name = `${namespace}.bad`
    const queue = openQueue(redis, name)
    await queue.enqueue([newJob('task', 1), newJob('task', 2), newJob('task', 3, { maxAttempts: 1 })])
    const entry = { process: 'p', pod: 'evil\u001b[2J', podUid: 'u', poolUid: '', node: '', slots: 1 }
    await queue.register({ ...entry, isolation: 'Spawn', isolationNote: '', version: '0', worker: 'p:1' })
    const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 3 })
    const last = claims.at(-1)
    if (!last) throw new Error('nothing was claimed')
    const text = JSON.stringify({ outcome: 'failed' })
    await queue.settleAndClaim({ worker: 'p:1', settlements: [{ ...last, verdict: 'terminal', text }] })
    await redis.call('ZADD', `${prefixOf(name)}workers`, 0, 'p:1')
    await redis.call('HSET', `${prefixOf(name)}config`, 'maxLength', 1)
    await queue.enqueue([newJob('task', 4)])
    const { code, report } = await ask('bad')
    expect(code).toBe(1)
    expect(checks(report.queues[0]?.findings).sort()).toEqual(
      ['Buried warning', 'Length problem', 'Silent problem', 'Workers note'].sort(),
    )
    const page = await doctor(['bad', '--redis', server.url, '--namespace', namespace])
    expect(page.stdout).toContain('evil\\x1b[2J')
    expect(page.stdout.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)

    await redis.call('HSET', `${prefixOf(name)}config`, 'layout', 99)
    expect(checks((await ask('bad')).report.queues[0]?.findings)).toEqual(['Layout problem'])
  })

  test('a queue that nobody knows is a warning: most likely its name is misspelt', async () => {
    const { code, report } = await ask('sene')
    expect(code).toBe(1)
    expect(checks(report.queues[0]?.findings)).toEqual(['Name warning'])
  })

  test('a viewer of docs/redis.md can be a doctor, of what it may see', async () => {
    const page = readFileSync(new URL('../../docs/redis.md', import.meta.url), 'utf8')
    const [, rules = ''] = /^ACL SETUSER shop-viewer (.*)$/m.exec(page) ?? []
    await redis.call('ACL', 'SETUSER', 'viewer', ...rules.replaceAll('{shop.', `{${namespace}.`).split(' '))
    const url = server.url.replace('//', '//viewer:change-me@')
    const named = await examined(['idle', '--redis', url, '--namespace', namespace])
    expect({ code: named.code, found: checks(named.report.queues[0]?.findings) }).toEqual({
      code: 0,
      found: [],
    })
    const unnamed = await examined(['--redis', url])
    // It may not look for queues, and not wait for work or messages, which only workers do.
    expect(checks(unnamed.report.redis.findings)).toEqual(['Rights note', 'Rights note', 'Rights note'])
    const other = await examined(['idle', '--redis', url, '--namespace', 'other'])
    expect(checks(other.report.queues[0]?.findings)).toEqual(['Rights note'])
  })

  test('its doors are closed: to whom, and how to open them', async () => {
    await redis.call('CONFIG', 'SET', 'requirepass', 'secret')
    const at = (login: string) => ['--redis', server.url.replace('//', `//${login}`)]
    const refused = async (login: string) => (await examined(at(login))).report.redis.findings
    expect(await refused('')).toEqual([
      expect.objectContaining({ check: 'Login', message: expect.stringMatching(/asks for a password/) }),
    ])
    const wrong = await examined(at('ann:wr0ng@'))
    expect(wrong.report.redis.findings).toEqual([
      expect.objectContaining({
        check: 'Login',
        severity: 'problem',
        remedy: expect.stringContaining('%40'),
      }),
    ])
    expect(wrong.stdout + wrong.stderr).not.toMatch(/wr0ng|ann/)
    expect((await examined(at(':secret@'))).report.redis.servers).toHaveLength(1)
    await redis.call('CONFIG', 'SET', 'requirepass', '')
    await redis.call('CONFIG', 'SET', 'maxclients', 1)
    expect(await refused('')).toEqual([
      expect.objectContaining({ check: 'Clients', message: expect.stringMatching(/no connection left/) }),
    ])
    await redis.call('CONFIG', 'SET', 'maxclients', 1000)
  })

  test(
    'it is another form of Redis than the address says',
    async () => {
      const { port } = server
      const of = async (url: string) => (await examined(['--redis', url])).report.redis.findings[0]
      expect(await of(`redis+cluster://127.0.0.1:${port}`)).toMatchObject({
        check: 'Address',
        message: expect.stringMatching(/single server/),
      })
      expect(await of(`redis+sentinel://127.0.0.1:${port}/jobs`)).toMatchObject({
        check: 'Address',
        message: expect.stringMatching(/as a Sentinel, but it is not one/),
      })
      expect(await of(`rediss://127.0.0.1:${port}`)).toMatchObject({
        check: 'TLS',
        message: expect.stringMatching(/but .* does not use it/),
      })
    },
    PATIENCE_MS,
  )

  test(
    'a Sentinel that does not know the name, and one that names a primary that is away',
    async () => {
      const away = await freePort()
      const sentinel = await RedisServer.start({
        sentinel: [
          `sentinel monitor here 127.0.0.1 ${server.port} 1`,
          `sentinel monitor away 127.0.0.1 ${away} 1`,
        ],
      })
      try {
        const of = (name: string) =>
          examined(['--redis', `redis+sentinel://127.0.0.1:${sentinel.port}/${name}`])
        expect((await of('nobody')).report.redis.findings).toEqual([
          expect.objectContaining({
            check: 'Address',
            message: expect.stringContaining('no primary named nobody'),
          }),
        ])
        expect((await of('away')).report.redis.findings).toEqual([
          expect.objectContaining({
            check: 'Network',
            message: `the Sentinels say that the primary is 127.0.0.1:${away}: nothing listens at 127.0.0.1:${away} (connection refused)`,
          }),
        ])
        const well = await of('here')
        // Behind Sentinels somebody should be there to take over.
        expect(checks(well.report.redis.findings)).toEqual(['Replicas warning'])
      } finally {
        await sentinel.remove()
      }
    },
    PATIENCE_MS,
  )
})

describe('servers as people run them', () => {
  interface Row {
    args?: string[]
    binary?: () => Promise<string>
    prepare?: (redis: Connection) => Promise<unknown>
    finds: string[]
    says: RegExp
  }
  /** Until maxmemory of 3 MB is nearly used up. */
  const fill = (keys: number) => async (redis: Connection) => {
    for (let key = 0; key < keys; key += 1) await redis.call('SETRANGE', `filler-${key}`, 250_000, 'x')
  }
  const rows: Record<string, Row> = {
    'Redis 6.2': { binary: redis62, finds: [], says: /\(Redis 6\.2\.\d+\)/ },
    Valkey: {
      binary: valkey,
      finds: ['Persistence note'],
      says: /with durability fsync: Valkey \d\S+ confirms them too early\n +→ .*redis-cli CONFIG SET appendfsync always/,
    },
    'nothing on disk': {
      args: ['--appendonly', 'no'],
      finds: ['Persistence warning'],
      says: /all jobs are lost when the server ends\n +→ set appendonly: redis-cli CONFIG SET appendonly yes/,
    },
    'half full': {
      args: ['--maxmemory', '3mb'],
      prepare: fill(2),
      finds: [],
      says: /% of maxmemory is used/,
    },
    'nearly full': {
      args: ['--maxmemory', '3mb'],
      prepare: fill(6),
      finds: ['Memory (warning|problem)'],
      says: /when it is full, nothing can be enqueued\n +→ .*raise maxmemory: redis-cli CONFIG SET maxmemory 5mb/,
    },
    'replicas that it insists on, and has not': {
      args: ['--min-replicas-to-write', '1'],
      finds: ['Replicas problem'],
      says: /refuses writes: no replica is connected, and min-replicas-to-write asks for 1/,
    },
    'a CONFIG that is forbidden, as in managed services': {
      args: ['--rename-command', 'CONFIG', ''],
      finds: [],
      says: /appendfsync is unknown, because CONFIG GET is refused/,
    },
  }
  test.each(Object.entries(rows))(
    '%s',
    async (_what, { args = [], binary, prepare, finds, says }) => {
      const server = await RedisServer.start({
        args: [...WELL, ...args],
        ...(binary && { binary: await binary() }),
      })
      const redis = connectRedis(server.url)
      try {
        await prepare?.(redis)
        const { code, report } = await examined(['--redis', server.url])
        expect(checks(report.redis.findings)).toEqual(finds.map((each) => expect.stringMatching(each)))
        expect(code).toBe(finds.every((each) => each.endsWith('note')) ? 0 : 1)
        const page = await doctor(['--redis', server.url])
        expect(page.stdout).toMatch(says)
        // Where the remedies name commands, they can be copied.
        expect(page.stdout.includes(`redis-cli here means redis-cli -h 127.0.0.1 -p ${server.port}`)).toBe(
          page.stdout.includes('→'),
        )
      } finally {
        redis.close()
        await server.remove()
      }
    },
    PATIENCE_MS,
  )

  test(
    'a replica: its own address, and how it keeps up with its primary',
    async () => {
      const primary = await RedisServer.start({ args: WELL })
      const args = ['--replicaof', '127.0.0.1', String(primary.port), '--repl-diskless-sync-delay', '0']
      const replica = await RedisServer.start({ args: [...WELL, ...args] })
      try {
        const of = async ({ url }: RedisServer) => (await examined(['--redis', url])).report.redis.findings
        await eventually(async () => checks(await of(primary)).length === 0, { withinMs: 30_000 })
        expect(await of(primary)).toContainEqual(
          expect.objectContaining({ check: 'Replicas', message: '1 replica, in step' }),
        )
        expect((await of(replica))[0]).toMatchObject({ check: 'Role', severity: 'problem' })
        replica.freeze()
        const late = await eventually(
          async () => (await of(primary)).find((each) => each.check === 'Replicas' && each.severity !== 'ok'),
          { withinMs: 40_000, what: 'a replica that is silent is noticed' },
        )
        expect(late).toMatchObject({
          severity: 'warning',
          message: expect.stringMatching(
            /^its replica is not in step \(last heard from \d+ s ago\): a failover may lose/,
          ),
        })
      } finally {
        await Promise.all([primary.remove(), replica.remove()])
      }
    },
    2 * PATIENCE_MS,
  )

  test(
    'a script that does not end',
    async () => {
      const server = await RedisServer.start({ args: [...WELL, '--lua-time-limit', '50'] })
      const [busy, other] = [connectRedis(server.url), connectRedis(server.url)]
      try {
        await other.ready()
        const script = busy.send(['EVAL', 'while true do end', 0], 60_000).catch(() => {})
        await eventually(() =>
          other.call('PING').then(
            () => false,
            (error) => /BUSY/.test(String(error)),
          ),
        )
        expect((await examined(['--redis', server.url])).report.redis.findings).toEqual([
          expect.objectContaining({ check: 'Busy', remedy: expect.stringContaining('SCRIPT KILL') }),
        ])
        await eventually(() => other.call('SCRIPT', 'KILL').then(() => true))
        await script
      } finally {
        busy.close()
        other.close()
        await server.remove()
      }
    },
    PATIENCE_MS,
  )

  test('nobody could look for queues: so it does not say that there is none', async () => {
    const server = await RedisServer.start({ args: WELL })
    const redis = connectRedis(server.url)
    try {
      expect((await doctor(['--redis', server.url])).stdout).toContain('There is no queue.')
      await redis.call('ACL', 'SETUSER', 'ann', 'on', '>x', '~*', '+info')
      const { stdout } = await doctor(['--redis', server.url.replace('//', '//ann:x@')])
      expect(stdout).toContain('this user may not look for queues')
      expect(stdout).not.toContain('There is no queue.')
    } finally {
      redis.close()
      await server.remove()
    }
  })
})

test('the server goes away while queues are looked for: nobody may take that for all is well', async () => {
  const server = await RedisServer.start({ args: WELL })
  const proxy = await FaultProxy.start(server.port)
  try {
    const isGone = proxy.loseAnswerTo('SCAN')
    const { code, stderr, report } = await examined(['--redis', proxy.url])
    await isGone
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'millhand: found 1 warning\n' })
    expect(checks(report.redis.findings)).toEqual(['Queues warning'])
  } finally {
    await proxy.stop()
    await server.remove()
  }
})

describe('what cannot be reached', () => {
  const listening: Server[] = []
  /** Says this to everybody, whatever is asked. */
  const saying = async (text: string) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.on('data', () =>
        text === 'nothing' ? undefined : text === 'bye' ? socket.destroy() : socket.end(text),
      )
    }).listen(0, '127.0.0.1')
    listening.push(server)
    await once(server, 'listening')
    return `redis://127.0.0.1:${(server.address() as AddressInfo).port}`
  }
  afterAll(() => {
    for (const server of listening) server.close()
  })

  test.each([
    ['no such name', async () => 'redis://nowhere.invalid', 'Name', /nowhere\.invalid/],
    ['nobody listens', async () => `redis://127.0.0.1:${await freePort()}`, 'Network', /nothing listens/],
    ['a port that says nothing', () => saying('nothing'), 'Network', /sends nothing/],
    ['a port that hangs up', () => saying('bye'), 'Network', /closes the connection at once/],
    ['a web server', () => saying('HTTP/1.1 400 Bad Request\r\n\r\n'), 'Address', /is not Redis/],
    [
      'protected mode',
      () => saying('-DENIED Redis is running in protected mode\r\n'),
      'Rights',
      /its own machine/,
    ],
    [
      'a server that loads',
      () => saying('-LOADING Redis is loading the dataset\r\n'),
      'Loading',
      /loading its data/,
    ],
  ])('%s', async (_what, urlOf, check, says) => {
    const { code, stdout, stderr, report } = await examined(['--redis', await urlOf()])
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'millhand: found 1 problem\n' })
    expect(report.redis.findings).toEqual([
      { check, severity: 'problem', message: expect.stringMatching(says), remedy: expect.any(String) },
    ])
    expect(report.queues).toEqual([])
    expect(stdout).not.toMatch(/\n +at /)
  })

  test('no address at all, or one that is none, is said without a stack', async () => {
    const none = await doctor(['--redis', 'http://ann:secret@host'])
    expect(none).toMatchObject({ code: 1, stdout: '' })
    expect(none.stderr).toMatch(/^millhand: the address of Redis is not a Redis URL: .*\n$/)
    expect(none.stderr).not.toMatch(/secret|ann/)
    expect((await doctor(['--nope'])).code).toBe(2)
  })
})

describe('over TLS', () => {
  let tls: TlsServer
  beforeAll(async () => {
    tls = await TlsServer.start()
  })
  afterAll(() => tls.remove())
  const environment = ({ url, ca, cert, key }: Partial<RedisAccess>) => ({
    MILLHAND_REDIS_URL: url,
    MILLHAND_REDIS_CA: ca,
    MILLHAND_REDIS_CERT: cert,
    MILLHAND_REDIS_KEY: key,
  })

  test.each([
    ['everything that it needs', {}, undefined, /./],
    ['no authority', { ca: undefined }, 'TLS', /signed by an unknown authority/],
    [
      'no certificate of our own',
      { cert: undefined, key: undefined },
      'TLS',
      /refuses the client certificate, or asks for one/,
    ],
    ['the authority of somebody else', { ca: otherAuthority() }, 'TLS', /signed by an unknown authority/],
    ['names of files for texts', { ca: '/etc/ca.crt' }, 'TLS', /cannot be read|unknown authority/],
  ])('with %s', async (_what, without, check, says) => {
    const { report } = await examined([], environment({ ...tls.access, ...without }))
    const problems = report.redis.findings.filter(({ severity }) => severity === 'problem')
    if (check === undefined) expect([problems, report.redis.servers.length]).toEqual([[], 1])
    else expect(problems).toEqual([expect.objectContaining({ check, message: expect.stringMatching(says) })])
  })

  test('certificates of the environment go with an address that is an option', async () => {
    const { url: _, ...certificates } = tls.access
    const { report } = await examined(['--redis', tls.access.url], environment(certificates))
    expect(report.redis.servers).toHaveLength(1)
  })

  test('an address that forgets it is told', async () => {
    const { report } = await examined(['--redis', tls.access.url.replace('rediss', 'redis')])
    expect(report.redis.findings).toEqual([
      expect.objectContaining({
        check: 'TLS',
        message: expect.stringMatching(/uses TLS, but the address does not/),
      }),
    ])
  })
})

test(
  'a Cluster: every primary and the queues of all are looked at, and one server of it alone is told so',
  async () => {
    const cluster = await RedisCluster.start()
    const redis = connectRedis(cluster.url)
    try {
      const names = ['b', 'c', 'd', 'e'].map((name) => `${namespace}.${name}`)
      for (const name of names) await openQueue(redis, name).pause()
      const { report } = await examined(['--redis', cluster.url, '--namespace', namespace])
      expect(report.redis.servers).toHaveLength(3)
      expect(report.queues.map(({ queue }) => queue)).toEqual(names)
      const one = await examined(['--redis', cluster.servers[0]?.url ?? ''])
      expect(one.report.redis.findings[0]).toMatchObject({ check: 'Cluster', severity: 'problem' })
      const gone = cluster.servers[5]
      await gone?.crash()
      const partly = await examined(['--redis', cluster.url, '--namespace', namespace])
      expect(partly.report.redis.findings).toContainEqual(
        expect.objectContaining({
          check: 'Network',
          severity: 'warning',
          message: expect.stringContaining(String(gone?.port)),
        }),
      )
      expect(partly.report.queues).toHaveLength(4)
      // What is the same of all three is said once.
      const { stdout } = await doctor(['--redis', cluster.url, '--namespace', namespace])
      expect(stdout.match(/set maxmemory to three quarters/g)).toHaveLength(1)

      // A primary and its replica: nobody has its slots, and the rest of the report is there all the same.
      const [name = ''] = names
      const owner = await cluster.ownerOf(slotOf(prefixOf(name)))
      await owner.crash()
      await cluster.servers[cluster.servers.indexOf(owner) + 3]?.crash()
      const args = ['b', '--redis', cluster.url, '--namespace', namespace]
      const broken = await eventually(
        async () => {
          const { code, report } = await examined(args)
          const isNoticed = checks(report.redis.findings).includes('Cluster problem')
          return code === 1 && isNoticed ? report : undefined
        },
        { withinMs: 60_000, what: 'the Cluster notices' },
      )
      expect(broken.redis.servers).toHaveLength(3)
      expect(checks(broken.redis.findings)).toContain('Connection problem')
      expect(checks(broken.queues[0]?.findings)).toEqual(['Connection problem'])
      const unnamed = (await examined(['--redis', cluster.url])).report
      expect(checks(unnamed.redis.findings)).toEqual(
        expect.arrayContaining(['Connection problem', 'Queues warning']),
      )
    } finally {
      redis.close()
      await cluster.remove()
    }
  },
  3 * PATIENCE_MS,
)
