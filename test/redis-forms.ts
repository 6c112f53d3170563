// Redis as people really run it: behind Sentinels, as a Cluster, over TLS. Real servers, on free ports, in folders of their own.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Connection, connectRedis, type RedisAccess, slotOf } from 'millhand/queue'
import { eventually } from './eventually.ts'
import { freePort } from './free-port.ts'
import { RedisServer } from './redis-server.ts'

const PATIENCE = { withinMs: 60_000, everyMs: 50 }

/** A primary, two replicas, three Sentinels. */
export class Sentinels {
  readonly url: string
  readonly servers: RedisServer[]
  readonly sentinels: RedisServer[]

  private constructor(servers: RedisServer[], sentinels: RedisServer[]) {
    this.servers = servers
    this.sentinels = sentinels
    this.url = `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/jobs`
  }

  static async start(): Promise<Sentinels> {
    const primary = await RedisServer.start()
    const replicaOf = ['--replicaof', '127.0.0.1', String(primary.port), '--repl-diskless-sync-delay', '0']
    const replicas = await Promise.all([1, 2].map(() => RedisServer.start({ args: replicaOf })))
    const settings = [
      `sentinel monitor jobs 127.0.0.1 ${primary.port} 2`,
      'sentinel down-after-milliseconds jobs 3000',
      'sentinel failover-timeout jobs 3000',
    ]
    const sentinels = await Promise.all([1, 2, 3].map(() => RedisServer.start({ sentinel: settings })))
    const started = new Sentinels([primary, ...replicas], sentinels)
    await eventually(() => started.#isComplete(), { ...PATIENCE, what: 'Sentinels that know each other' })
    return started
  }

  /** As the Sentinels see it now. */
  async primary(): Promise<RedisServer> {
    const [sentinel] = this.sentinels
    const [, port] = (await ask(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'jobs')) as [string, string]
    const found = this.servers.find((server) => server.port === Number(port))
    if (!found) throw new Error(`the Sentinels name a primary on port ${port}, which is none of ours`)
    return found
  }

  async replicas(): Promise<RedisServer[]> {
    const primary = await this.primary()
    return this.servers.filter((server) => server !== primary)
  }

  /**
   * Nothing is lost: the replicas have all, and the old primary lives on as one of them. It takes no writes from before
   * they have caught up until it is a replica: Sentinels let it take some for a while, and all of them are lost.
   */
  async failOver(): Promise<void> {
    const before = await this.primary()
    await ask(before, 'CLIENT', 'PAUSE', 4 * PATIENCE.withinMs, 'WRITE')
    const { port } = await this.promoteAnother()
    await ask(before, 'REPLICAOF', '127.0.0.1', port)
    await ask(before, 'CLIENT', 'UNPAUSE')
  }

  /** One that has caught up. The old primary hears of it from the Sentinels, when they come to it. */
  async promoteAnother(): Promise<RedisServer> {
    const before = await this.primary()
    await caughtUp(before, await this.replicas())
    await eventually(() => ask(this.sentinels[0], 'SENTINEL', 'FAILOVER', 'jobs').then(() => true), {
      ...PATIENCE,
      what: 'a failover that the Sentinels accept',
    })
    return this.promoted(before)
  }

  /** Waits until another one than this is the primary. */
  async promoted(before: RedisServer): Promise<RedisServer> {
    return eventually(async () => {
      const now = await this.primary()
      return now !== before && (await roleOf(now)) === 'master' ? now : undefined
    }, PATIENCE)
  }

  async remove(): Promise<void> {
    await Promise.all([...this.sentinels, ...this.servers].map((server) => server.remove()))
  }

  async #isComplete(): Promise<boolean> {
    for (const sentinel of this.sentinels) {
      const facts = pairs(await ask(sentinel, 'SENTINEL', 'MASTER', 'jobs'))
      if (facts['num-slaves'] !== '2' || facts['num-other-sentinels'] !== '2') return false
    }
    return areInStep(this.servers.slice(1))
  }
}

/** Three primaries with a replica each. */
export class RedisCluster {
  readonly url: string
  readonly servers: RedisServer[]
  readonly #busPorts: number[]

  private constructor(servers: RedisServer[], busPorts: number[]) {
    this.#busPorts = busPorts
    this.servers = servers
    this.url = `redis+cluster://${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}`
  }

  static async start(): Promise<RedisCluster> {
    const args = [
      ...[
        '--cluster-enabled',
        'yes',
        '--cluster-node-timeout',
        '4000',
        '--cluster-replica-validity-factor',
        '0',
      ],
      ...['--repl-diskless-sync-delay', '0'],
    ]
    const busPorts = await Promise.all([1, 2, 3, 4, 5, 6].map(() => freePort()))
    const startNode = (busPort: number) =>
      RedisServer.start({ args: [...args, '--cluster-port', String(busPort)] })
    const servers = await Promise.all(busPorts.map(startNode))
    const started = new RedisCluster(servers, busPorts)
    await started.#join()
    return started
  }

  /** The primary that serves the slot of this key. */
  async ownerOf(slot: number): Promise<RedisServer> {
    const [living] = await Promise.any(
      this.servers.map(async (server) => [await ask(server, 'CLUSTER', 'SLOTS')]),
    )
    const entries = living as [number, number, [string, number]][]
    const found = entries.find(([first, last]) => first <= slot && slot <= last)
    const server = this.servers.find(({ port }) => port === found?.[2][1])
    if (!server) throw new Error(`nobody serves the slot ${slot}`)
    return server
  }

  /** Slots that have keys. */
  async busySlots(): Promise<number[]> {
    const slots = new Set<number>()
    for (const server of this.servers) {
      const keys = (await ask(server, 'KEYS', '*')) as string[]
      for (const key of keys) slots.add(slotOf(key))
    }
    return [...slots]
  }

  /** To the next primary, with all its keys, while clients use it. */
  async moveSlot(slot: number): Promise<void> {
    const from = await this.ownerOf(slot)
    const primaries = await this.#primaries()
    const to = primaries[(primaries.indexOf(from) + 1) % primaries.length] as RedisServer
    const [fromId, toId] = await Promise.all([from, to].map((server) => ask(server, 'CLUSTER', 'MYID')))
    await ask(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(fromId))
    await ask(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(toId))
    for (;;) {
      const keys = (await ask(from, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[]
      if (keys.length === 0) break
      await ask(from, 'MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys)
    }
    for (const server of [to, from]) await ask(server, 'CLUSTER', 'SETSLOT', slot, 'NODE', String(toId))
  }

  /** The slot's primary and its replica change places; nothing is lost. */
  async handOver(slot: number): Promise<void> {
    const before = await this.ownerOf(slot)
    const [replica] = await this.replicasOf(slot)
    await eventually(() => ask(replica, 'CLUSTER', 'FAILOVER').then(() => true), PATIENCE)
    await this.promoted(slot, before)
  }

  async replicasOf(slot: number): Promise<RedisServer[]> {
    const owner = await this.ownerOf(slot)
    const id = String(await ask(owner, 'CLUSTER', 'MYID'))
    const lines = (await ask(owner, 'CLUSTER', 'REPLICAS', id)) as string[]
    const ports = lines.map((line) => Number(/:(\d+)@/.exec(line)?.[1]))
    return this.servers.filter(({ port }) => ports.includes(port))
  }

  /** Waits until another one than this serves the slot. */
  async promoted(slot: number, before: RedisServer): Promise<RedisServer> {
    return eventually(async () => {
      const now = await this.ownerOf(slot)
      return now === before ? undefined : now
    }, PATIENCE)
  }

  async remove(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.remove()))
  }

  async #primaries(): Promise<RedisServer[]> {
    const roles = await Promise.all(this.servers.map(roleOf))
    return this.servers.filter((_, at) => roles[at] === 'master')
  }

  async #join(): Promise<void> {
    const busPort = this.#busPorts[0] ?? 0
    const primaries = this.servers.slice(0, 3)
    const first = primaries[0] as RedisServer
    for (const [at, server] of primaries.entries()) {
      const range = [Math.floor((at * 16_384) / 3), Math.floor(((at + 1) * 16_384) / 3) - 1]
      await ask(server, 'CLUSTER', 'ADDSLOTSRANGE', ...range)
      await ask(server, 'CLUSTER', 'SET-CONFIG-EPOCH', at + 1)
    }
    for (const server of this.servers)
      if (server !== first) await ask(server, 'CLUSTER', 'MEET', '127.0.0.1', first.port, busPort)
    for (const [at, replica] of this.servers.slice(3).entries()) {
      const id = String(await ask(primaries[at], 'CLUSTER', 'MYID'))
      await eventually(() => ask(replica, 'CLUSTER', 'REPLICATE', id).then(() => true), PATIENCE)
    }
    await eventually(() => this.#isComplete(), { ...PATIENCE, what: 'a Cluster of which all nodes know all' })
  }

  async #isComplete(): Promise<boolean> {
    for (const server of this.servers) {
      const info = String(await ask(server, 'CLUSTER', 'INFO'))
      if (!info.includes('cluster_state:ok') || !info.includes('cluster_known_nodes:6')) return false
    }
    return areInStep(this.servers.slice(3))
  }
}

/** A server that speaks TLS only, with an authority of its own, and asks clients for a certificate of the same. */
export class TlsServer {
  readonly access: RedisAccess
  readonly server: RedisServer
  readonly #folder: string

  private constructor(server: RedisServer, access: RedisAccess, folder: string) {
    this.server = server
    this.access = access
    this.#folder = folder
  }

  static async start(): Promise<TlsServer> {
    const folder = mkdtempSync(join(tmpdir(), 'millhand-tls-'))
    const file = (name: string) => join(folder, name)
    const text = (name: string) => readFileSync(file(name), 'utf8')
    const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' })
    const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    openssl(
      'req',
      '-x509',
      ...newKey,
      '-subj',
      '/CN=authority',
      '-days',
      '2',
      '-keyout',
      file('ca.key'),
      '-out',
      file('ca.crt'),
    )
    writeFileSync(file('names'), 'subjectAltName=IP:127.0.0.1,DNS:localhost')
    for (const name of ['server', 'client']) {
      openssl(
        'req',
        ...newKey,
        '-subj',
        `/CN=${name}`,
        '-keyout',
        file(`${name}.key`),
        '-out',
        file(`${name}.csr`),
      )
      const signing = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-CAcreateserial', '-days', '2']
      openssl(
        'x509',
        '-req',
        '-in',
        file(`${name}.csr`),
        ...signing,
        '-extfile',
        file('names'),
        '-out',
        file(`${name}.crt`),
      )
    }
    const server = await RedisServer.start({
      tls: { ca: file('ca.crt'), cert: file('server.crt'), key: file('server.key') },
      access: (port) => ({
        url: `rediss://127.0.0.1:${port}`,
        ca: text('ca.crt'),
        cert: text('client.crt'),
        key: text('client.key'),
      }),
    })
    return new TlsServer(server, server.access, folder)
  }

  async remove(): Promise<void> {
    await this.server.remove()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Replicas get all that their primary has been told so far, and from then on nothing more, as if the network between them were gone. */
export async function cutOff(primary: RedisServer, replicas: readonly RedisServer[]): Promise<void> {
  await caughtUp(primary, replicas)
  for (const replica of replicas) await ask(replica, 'CONFIG', 'SET', 'masterauth', 'not the password')
  await ask(primary, 'CLIENT', 'KILL', 'TYPE', 'replica')
  await eventually(async () => (await numberIn(primary, 'connected_slaves')) === 0, PATIENCE)
}

/** Replicas have all that their primary has been told so far. */
async function caughtUp(primary: RedisServer, replicas: readonly RedisServer[]): Promise<void> {
  const told = await numberIn(primary, 'master_repl_offset')
  for (const replica of replicas)
    await eventually(async () => (await numberIn(replica, 'slave_repl_offset')) >= told, PATIENCE)
}

/** One that is known may not have begun to copy: promoted then, it has nothing. */
async function areInStep(replicas: readonly RedisServer[]): Promise<boolean> {
  const told = await Promise.all(replicas.map((replica) => ask(replica, 'INFO', 'replication')))
  return told.every((info) => String(info).includes('master_link_status:up'))
}

async function numberIn(server: RedisServer, name: string): Promise<number> {
  return Number(new RegExp(`${name}:(\\d+)`).exec(String(await ask(server, 'INFO', 'replication')))?.[1])
}

/** The certificate of an authority that signed nothing. */
export function otherAuthority(): string {
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '/dev/null']
  const args = ['req', '-x509', ...key, '-subj', '/CN=other', '-days', '2']
  return execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'], encoding: 'utf8' })
}

/** One question on a connection of its own. */
export async function ask(
  server: RedisServer | undefined,
  command: string,
  ...args: (string | number)[]
): Promise<unknown> {
  if (!server) throw new Error('there is no such server')
  const connection: Connection = connectRedis(server.access, { deadlineMs: 3_000 })
  try {
    return await connection.call(command, ...args)
  } finally {
    connection.close()
  }
}

async function roleOf(server: RedisServer): Promise<string> {
  return String(((await ask(server, 'ROLE')) as unknown[])[0])
}

function pairs(flat: unknown): Record<string, string> {
  const list = flat as string[]
  return Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1] ?? '']] : [])))
}
