// The reflector on a real API server: what it sees, and that it goes on when its connections are cut or what it knows is too old.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, connect as dial, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jest } from '@jest/globals'
import { silent } from 'millhand/queue'
import { connectKube, type Kube, kinds } from '../../../operator/src/kube/client.ts'
import {
  type Change,
  type KubeObject,
  type ListWatch,
  Reflector,
  type ReflectorOptions,
} from '../../../operator/src/kube/reflector.ts'
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'

jest.setTimeout(30_000)

/** Between the client and the API server. While it is silent nothing gets through, and nobody is told. */
class Wire {
  isSilent = false
  connections = 0
  readonly #server: Server
  readonly #pairs = new Set<[Socket, Socket]>()

  constructor(port: number) {
    this.#server = createServer((client) => {
      this.connections++
      const server = dial(port, '127.0.0.1')
      const pair: [Socket, Socket] = [client, server]
      this.#pairs.add(pair)
      for (const [from, to] of [pair, [server, client] as const]) {
        from.on('data', (chunk) => this.isSilent || to.write(chunk))
        from.on('error', () => {})
        from.on('close', () => {
          to.destroy()
          this.#pairs.delete(pair)
        })
      }
    })
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    const address = this.#server.address()
    return typeof address === 'object' && address ? address.port : 0
  }

  get open(): number {
    return this.#pairs.size
  }

  cut(): void {
    for (const [client, server] of this.#pairs) {
      client.resetAndDestroy()
      server.destroy()
    }
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

onCluster('a reflector on an API server', () => {
  let cluster: SharedCluster
  let namespace: string
  let wire: Wire
  /** Through the wire. */
  let kube: Kube
  let direct: Kube
  const folder = mkdtempSync(join(tmpdir(), 'millhand-watching-'))
  const stopping: (() => Promise<void>)[] = []

  beforeAll(async () => {
    cluster = await sharedCluster()
    namespace = await cluster.newNamespace('watching')
    direct = connectKube({ kubeconfig: cluster.kubeconfig })
    const config = JSON.parse(readFileSync(cluster.kubeconfig, 'utf8'))
    const [{ cluster: way }] = config.clusters
    wire = new Wire(Number(new URL(way.server).port))
    way.server = `https://127.0.0.1:${await wire.listen()}`
    const kubeconfig = join(folder, 'kubeconfig')
    writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 })
    kube = connectKube({ kubeconfig, deadlineMs: 3_000 })
  }, 3_600_000)
  afterEach(async () => {
    wire.isSilent = false
    for (const stop of stopping.splice(0)) await stop()
  })
  afterAll(async () => {
    kube?.close()
    direct?.close()
    await wire?.close()
    rmSync(folder, { recursive: true })
    await cluster?.deleteNamespace(namespace)
  })

  function reflect(
    source: ListWatch<KubeObject> = kube.listWatch(kinds.TaskQueue, { namespace }),
    options: Partial<ReflectorOptions<KubeObject>> = {},
  ) {
    const changes: Change<KubeObject>[] = []
    const onChange = (change: Change<KubeObject>) => changes.push(change)
    const timings = { backOff: { firstMs: 50, longestMs: 200 }, ...options.timings }
    const all = { name: 'queues', source, onChange, log: silent, ...options, timings }
    const reflector = new Reflector<KubeObject>(all)
    const ending = new AbortController()
    const running = reflector.run(ending.signal)
    stopping.push(async () => {
      ending.abort()
      await running
    })
    return { reflector, changes }
  }

  async function put(name: string, labels: Record<string, string> = {}, where = namespace): Promise<void> {
    await direct.apply(kinds.TaskQueue, { metadata: { name, namespace: where, labels }, ...{ spec: {} } })
  }
  const remove = (name: string) => cluster.kubectl(['delete', 'tq', name, '-n', namespace])
  const told = (changes: Change<KubeObject>[], name: string) =>
    changes
      .filter(({ key }) => key === `${namespace}/${name}`)
      .map(({ now, before }) => (now ? (before ? 'changed' : 'created') : 'deleted'))

  test('sees what is there, created, changed and deleted', async () => {
    await put('there')
    const { reflector, changes } = reflect()
    await reflector.synced
    expect(reflector.get(`${namespace}/there`)?.metadata.uid).toBeTruthy()
    await put('made')
    await eventually(() => told(changes, 'made').length === 1)
    await put('made', { a: 'b' })
    await eventually(() => reflector.get(`${namespace}/made`)?.metadata.labels?.a === 'b')
    await remove('made')
    await eventually(() => !reflector.get(`${namespace}/made`))
    expect(told(changes, 'made')).toEqual(['created', 'changed', 'deleted'])
    expect(told(changes, 'there')).toEqual(['created'])
    await remove('there')
  })

  test('takes pages, and only what its label selector selects', async () => {
    for (const name of ['p1', 'p2', 'p3', 'p4', 'p5']) await put(name, { page: 'yes' })
    await put('other')
    const source = kube.listWatch<KubeObject>(kinds.TaskQueue, { namespace, labelSelector: 'page=yes' })
    let pages = 0
    const counted: ListWatch<KubeObject> = {
      list: (page) => {
        pages++
        return source.list(page)
      },
      watch: source.watch,
    }
    const { reflector, changes } = reflect(counted, { timings: { pageSize: 2 } })
    await reflector.synced
    expect([pages, [...reflector.list()].length]).toEqual([3, 5])
    // What is selected no more is gone, for whoever looks through the selector.
    await put('p5', { page: 'no' })
    await eventually(() => [...reflector.list()].length === 4)
    expect(told(changes, 'p5')).toEqual(['created', 'deleted'])
  })

  test('sees the objects of all namespaces when none is named', async () => {
    const another = await cluster.newNamespace('watching')
    await put('one')
    const { reflector } = reflect(kube.listWatch(kinds.TaskQueue))
    await reflector.synced
    await put('two', {}, another)
    await eventually(() => reflector.get(`${another}/two`) && reflector.get(`${namespace}/one`))
    await cluster.deleteNamespace(another)
  })

  test('misses nothing when its connection is cut, and lists only once', async () => {
    const source = kube.listWatch<KubeObject>(kinds.TaskQueue, { namespace })
    let lists = 0
    const counted: ListWatch<KubeObject> = {
      list: (page) => {
        lists++
        return source.list(page)
      },
      watch: source.watch,
    }
    const { reflector, changes } = reflect(counted)
    await reflector.synced
    await put('before')
    await eventually(() => reflector.get(`${namespace}/before`))
    for (const name of ['cut1', 'cut2', 'cut3']) {
      const connections = wire.connections
      wire.cut()
      await put(name)
      await remove(name)
      await eventually(() => told(changes, name).length === 2, { what: `news of ${name}` })
      expect(told(changes, name)).toEqual(['created', 'deleted'])
      expect(wire.connections).toBeGreaterThan(connections)
    }
    expect(lists).toBe(1)
  })

  test('finds out that a connection is dead although nobody said so, and misses nothing', async () => {
    const timings = { shortestWatchSeconds: 1, longestWatchSeconds: 1, graceMs: 500 }
    const { reflector, changes } = reflect(undefined, { timings })
    await reflector.synced
    wire.isSilent = true
    await put('unheard')
    await remove('unheard')
    // All connections of the time of silence are dead: only a new one leads on.
    const connections = wire.connections
    await eventually(() => wire.connections > connections, { what: 'a new connection' })
    expect(told(changes, 'unheard')).toEqual([])
    wire.cut()
    wire.isSilent = false
    await eventually(() => told(changes, 'unheard').length === 2)
    expect(told(changes, 'unheard')).toEqual(['created', 'deleted'])
  })

  test('lists again when the API server does not take its resourceVersion', async () => {
    await put('known')
    const source = kube.listWatch<KubeObject>(kinds.TaskQueue, { namespace })
    const lists: string[] = []
    // A young API server remembers everything since its start: what is too old for it is played in ../reflector.test.ts.
    const wrong = ['nonsense']
    const misled: ListWatch<KubeObject> = {
      list: async (page) => {
        const result = await source.list(page)
        lists.push(result.resourceVersion)
        return result
      },
      watch: (from) => source.watch({ ...from, resourceVersion: wrong.shift() ?? from.resourceVersion }),
    }
    const { reflector, changes } = reflect(misled)
    await eventually(() => lists.length === 2)
    await put('after')
    await eventually(() => reflector.get(`${namespace}/after`))
    expect(told(changes, 'after')).toEqual(['created'])
    expect(reflector.get(`${namespace}/known`)).toBeDefined()
    expect(lists).toHaveLength(2)
  })
})
