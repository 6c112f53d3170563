// What a real server tells of itself, to whom it tells it, and what becomes of what it does not tell.

import { examineServer, type ServerFinding } from 'millhand/doctor'
import { type Connection, connectRedis } from 'millhand/queue'
import { factsOf } from '../../../worker-runtime/src/doctor/facts.ts'
import { judgeServers } from '../../../worker-runtime/src/doctor/findings.ts'
import { eventually } from '../../eventually.ts'
import { array, bulk, civil, HostileServer } from '../../hostile-redis/server.ts'
import { RedisCluster } from '../../redis-forms.ts'
import { RedisServer } from '../../redis-server.ts'

const nowMs = () => Date.now()
const of = (findings: readonly ServerFinding[], check: string) =>
  findings.find((each) => each.check === check)
const opened: Connection[] = []
const connect = (url: string) => {
  const redis = connectRedis(url, { deadlineMs: 5_000 })
  opened.push(redis)
  return redis
}
afterEach(() => {
  for (const redis of opened.splice(0)) redis.close()
})

describe('one server', () => {
  let server: RedisServer
  let redis: Connection
  beforeAll(async () => {
    server = await RedisServer.start()
  })
  afterAll(() => server.remove())
  beforeEach(() => {
    redis = connect(server.url)
  })

  test('tells what it is, how it is set and what time it has', async () => {
    const { servers, findings } = await examineServer(redis, { nowMs })
    expect(servers).toEqual([
      expect.objectContaining({
        name: `127.0.0.1:${server.port}`,
        version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
        isReplica: false,
        evictionPolicy: 'noeviction',
        maxBytes: 0,
        hasAppendFile: true,
        appendFsync: 'everysec',
        takesSnapshots: false,
        replicas: [],
        leastReplicas: 0,
        maxClients: expect.any(Number),
        isCluster: false,
      }),
    ])
    const [facts] = servers
    expect(facts?.usedBytes).toBeGreaterThan(100_000)
    expect(facts?.residentBytes).toBeGreaterThan(1_000_000)
    expect(facts?.machineBytes).toBeGreaterThan(facts?.residentBytes ?? 0)
    expect(facts?.clients).toBeGreaterThan(0)
    const { aheadMs = Number.NaN, uncertainMs = 0 } = facts?.clock ?? {}
    expect(Math.abs(aheadMs)).toBeLessThan(1_000 + uncertainMs)
    const notOk = findings.filter(({ severity }) => severity !== 'ok')
    // A Valkey, or a newer Redis, confirms fsync too early.
    const early = notOk.some(({ message }) => message.includes('confirms them too early'))
      ? ['Persistence']
      : []
    expect(notOk.map(({ check }) => check)).toEqual(['Memory', ...early])
  })

  test('a clock that is off is noticed from either side', async () => {
    for (const offMs of [-5_000, 5_000]) {
      const { findings } = await examineServer(redis, { nowMs: () => Date.now() + offMs })
      const text = offMs > 0 ? / s behind that/ : / s ahead of that/
      expect(of(findings, 'Clock')).toMatchObject({
        severity: 'warning',
        message: expect.stringMatching(text),
      })
    }
  })

  test('a server that is nearly full and drops jobs is a problem, and the remedy mends it', async () => {
    const used = Number(/used_memory:(\d+)/.exec(String(await redis.call('INFO', 'memory')))?.[1])
    await redis.call('CONFIG', 'SET', 'maxmemory', Math.round(used * 1.02))
    await redis.call('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    const { findings } = await examineServer(redis, { nowMs })
    expect(of(findings, 'Memory')?.severity).toBe('problem')
    for (const check of ['Eviction', 'Memory']) {
      const [, name = '', value = ''] = /CONFIG SET (\S+) (\w+)/.exec(of(findings, check)?.remedy ?? '') ?? []
      await redis.call('CONFIG', 'SET', name, value)
    }
    const after = await examineServer(redis, { nowMs })
    expect(['Eviction', 'Memory'].map((check) => of(after.findings, check)?.severity)).toEqual(['ok', 'ok'])
    await redis.call('CONFIG', 'SET', 'maxmemory', 0)
  })

  test('what a user may not ask is not known, and nothing else suffers', async () => {
    const user = ['resetchannels', 'on', '>pw', '~*', '+@all', '-config']
    await redis.call('ACL', 'SETUSER', 'unconfigured', 'reset', ...user)
    await redis.call('ACL', 'SETUSER', 'uninformed', 'reset', ...user, '-info')
    const as = async (name: string) => {
      const { servers, findings } = await examineServer(connect(server.url.replace('//', `//${name}:pw@`)), {
        nowMs,
      })
      return { facts: servers[0], findings }
    }
    const unconfigured = await as('unconfigured')
    expect(unconfigured.facts).toMatchObject({
      hasAppendFile: true,
      appendFsync: undefined,
      takesSnapshots: undefined,
    })
    expect(of(unconfigured.findings, 'Persistence')?.message).toMatch(/unknown/)
    const uninformed = await as('uninformed')
    expect(uninformed.findings.map(({ check }) => check).sort()).toEqual(['Clock', 'Rights'])
  })

  test('a replica says so, and its primary says how it keeps up', async () => {
    const replica = await RedisServer.start({
      args: ['--replicaof', '127.0.0.1', String(server.port), '--repl-diskless-sync-delay', '0'],
    })
    try {
      const replicasOk = async () => {
        const { servers, findings } = await examineServer(redis, { nowMs })
        return servers[0]?.replicas?.length === 1 && of(findings, 'Replicas')?.severity === 'ok'
      }
      await eventually(replicasOk, { what: 'a replica in step' })
      const { findings } = await examineServer(connect(replica.url), { nowMs })
      expect(findings[0]).toMatchObject({ check: 'Role', severity: 'problem' })
    } finally {
      await replica.remove()
    }
  })
})

test('a server that is away is not examined: whoever asks is told', async () => {
  const server = await RedisServer.start()
  const redis = connectRedis(server.url)
  await redis.ready()
  await server.crash()
  await expect(examineServer(redis, { nowMs })).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' })
  redis.close()
  await server.remove()
})

test('of a Cluster each primary is examined, and one that is away is a finding', async () => {
  const cluster = await RedisCluster.start()
  try {
    const redis = connect(cluster.url)
    const whole = await examineServer(redis, { nowMs })
    expect(whole.servers.map(({ name }) => name).sort()).toEqual(
      cluster.servers
        .slice(0, 3)
        .map(({ port }) => `127.0.0.1:${port}`)
        .sort(),
    )
    expect(whole.findings.filter(({ check }) => check === 'Cluster').map(({ severity }) => severity)).toEqual(
      ['ok', 'ok', 'ok'],
    )
    const [first] = cluster.servers
    const alone = await examineServer(connect(first?.url ?? ''), { nowMs })
    expect(of(alone.findings, 'Cluster')).toMatchObject({ severity: 'problem' })
    // Frozen, not killed: no replica takes over as long as the others do not miss it.
    first?.freeze()
    const { servers, findings } = await examineServer(redis, { nowMs })
    first?.thaw()
    expect(servers.find(({ isAway }) => isAway)?.name).toBe(`127.0.0.1:${first?.port}`)
    expect(of(findings, 'Connection')).toMatchObject({
      severity: 'problem',
      server: `127.0.0.1:${first?.port}`,
    })
  } finally {
    await cluster.remove()
  }
}, 60_000)

test('nothing that a server says goes further than numbers and words that we know', () => {
  const info = [
    'redis_version:7.0.15 evil',
    'server_name:evil',
    'role:evil',
    'maxmemory:evil',
    'maxmemory_policy:evil',
    'used_memory:1evil',
    'aof_enabled:evil',
    'aof_last_write_status:evil',
    'connected_slaves:1',
    'slave0:ip=evil,port=1,state=evil,offset=1,lag=evil',
    'cluster_enabled:1',
  ].join('\r\n')
  const facts = factsOf({ name: 'here:1', isAway: false, info, fsync: 'evil', save: 'evil', least: 'evil' })
  const findings = judgeServers([facts], { form: 'cluster' })
  expect(findings.length).toBeGreaterThan(5)
  expect(JSON.stringify([facts, findings])).not.toContain('evil')
})

test('what a server says of itself that is no number, or a word that nobody knows, is not known', async () => {
  const info = `redis_version:${'9'.repeat(500)}\r\nused_memory:${'9'.repeat(400)}\r\nconnected_clients:-1\r\nmaxmemory_policy:rm -rf\r\n`
  const server = await HostileServer.start((asked) => {
    if (asked.command === 'INFO') return bulk(info)
    return asked.command === 'TIME' ? array(bulk('NaN'), bulk('1e400')) : civil(asked)
  })
  const redis = connectRedis(server.urlFor('server'))
  const { servers } = await examineServer(redis, { nowMs: () => Date.now() })
  expect(servers).toEqual([
    expect.objectContaining({
      version: undefined,
      usedBytes: undefined,
      clients: undefined,
      evictionPolicy: undefined,
      clock: undefined,
    }),
  ])
  redis.close()
  server.stop()
})
