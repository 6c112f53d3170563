// The reflector's own logic, on a collection in this process that answers as the API server does: by resourceVersions, pages of one moment,
// events since a resourceVersion, and 410 for what is too old. The tests with a real API server are in ../kube/.
import fc from 'fast-check'
import { type Facts, type Log, silent } from 'millhand/queue'
import {
  type Change,
  type KubeObject,
  keyOf,
  type ListWatch,
  Reflector,
  type ReflectorOptions,
  type WatchEvent,
} from '../../operator/src/kube/reflector.ts'
import { eventually } from '../eventually.ts'

interface Thing extends KubeObject {
  value: number
}

const answer = (status: number) => Object.assign(new Error(`status ${status}`), { status })

class Collection implements ListWatch<Thing> {
  objects = new Map<string, Thing>()
  listed: { limit: number; continueToken?: string }[] = []
  watched: { resourceVersion: string; timeoutSeconds: number; signal: AbortSignal }[] = []
  /** Thrown by the next list, the next watch. */
  listFails: Error[] = []
  watchFails: Error[] = []
  /** What watches do that began: each is told of it once. */
  readonly #watches = new Set<(does: 'end' | Error | WatchEvent<Thing>) => void>()
  readonly #history: { version: number; event: WatchEvent<Thing> }[] = []
  readonly #snapshots = new Map<string, { items: Thing[]; version: number }>()
  #version = 1000
  #oldest = 0
  #uids = 0

  put(name: string, value: number): void {
    const old = this.objects.get(name)
    const uid = old?.metadata.uid ?? `uid-${++this.#uids}`
    const object = { metadata: { name, uid, resourceVersion: `${++this.#version}` }, value }
    this.objects.set(name, object)
    this.#happened({ type: old ? 'MODIFIED' : 'ADDED', object })
  }

  delete(name: string): void {
    const old = this.objects.get(name)
    if (!old) return
    this.objects.delete(name)
    const metadata = { ...old.metadata, resourceVersion: `${++this.#version}` }
    this.#happened({ type: 'DELETED', object: { ...old, metadata } })
  }

  bookmark(): void {
    const object = { metadata: { resourceVersion: `${++this.#version}` } }
    for (const tell of this.#watches) tell({ type: 'BOOKMARK', object })
  }

  /** What happened before is not known any more. */
  compact(): void {
    this.#oldest = this.#version
    this.#history.length = 0
    this.#snapshots.clear()
  }

  tellWatches(does: 'end' | Error | WatchEvent<Thing>): void {
    for (const tell of this.#watches) tell(does)
  }

  get watching(): number {
    return this.#watches.size
  }

  async list({ limit, continueToken }: { limit: number; continueToken?: string }) {
    this.listed.push({ limit, ...(continueToken && { continueToken }) })
    const fails = this.listFails.shift()
    if (fails) throw fails
    const [id = '', from = '0'] = continueToken?.split('/') ?? []
    const snapshot = continueToken
      ? this.#snapshots.get(id)
      : { items: [...this.objects.values()], version: this.#version }
    if (!snapshot) throw answer(410)
    const end = limit ? Number(from) + limit : snapshot.items.length
    const items = snapshot.items.slice(Number(from), end)
    const resourceVersion = String(snapshot.version)
    if (end >= snapshot.items.length) return { items, resourceVersion }
    const next = id || `s${this.#snapshots.size}`
    this.#snapshots.set(next, snapshot)
    return { items, resourceVersion, continueToken: `${next}/${end}` }
  }

  async *watch(from: { resourceVersion: string; timeoutSeconds: number; signal: AbortSignal }) {
    this.watched.push(from)
    const fails = this.watchFails.shift()
    if (fails) throw fails
    const since = Number(from.resourceVersion)
    if (since < this.#oldest) {
      yield { type: 'ERROR', object: { code: 410, reason: 'Expired' } } as const
      return
    }
    const coming: ('end' | Error | WatchEvent<Thing>)[] = this.#history
      .filter(({ version }) => version > since)
      .map(({ event }) => event)
    let wake = () => {}
    const tell = (does: 'end' | Error | WatchEvent<Thing>) => {
      coming.push(does)
      wake()
    }
    const abort = () => tell(from.signal.reason)
    this.#watches.add(tell)
    from.signal.addEventListener('abort', abort)
    if (from.signal.aborted) abort()
    try {
      for (;;) {
        const does = coming.shift()
        if (does === undefined)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
        else if (does === 'end') return
        else if (does instanceof Error || does instanceof DOMException) throw does
        else yield does
      }
    } finally {
      this.#watches.delete(tell)
      from.signal.removeEventListener('abort', abort)
    }
  }

  #happened(event: WatchEvent<Thing>): void {
    this.#history.push({ version: this.#version, event })
    for (const tell of this.#watches) tell(event)
  }
}

const stopping: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of stopping.splice(0)) await stop()
})

function reflect(source: ListWatch<Thing>, options: Partial<ReflectorOptions<Thing>> = {}) {
  const changes: Change<Thing>[] = []
  const reflector = new Reflector<Thing>({
    name: 'things',
    source,
    onChange: (change) => changes.push(change),
    log: silent,
    ...options,
    timings: { backOff: { firstMs: 1, longestMs: 4 }, leastWatchMs: 0, ...options.timings },
  })
  const ending = new AbortController()
  const running = reflector.run(ending.signal)
  const stop = async () => {
    ending.abort()
    await running
  }
  stopping.push(stop)
  return { reflector, changes, stop }
}

const namesOf = (reflector: Reflector<Thing>) =>
  [...reflector.list()].map(({ metadata }) => metadata.name).sort()

describe('a reflector', () => {
  let things: Collection
  beforeEach(() => {
    things = new Collection()
  })

  test('knows what is there, then what is created, changed and deleted', async () => {
    things.put('a', 1)
    const { reflector, changes } = reflect(things)
    expect(reflector.isSynced).toBe(false)
    await reflector.synced
    expect(reflector.isSynced).toBe(true)
    expect(reflector.get('a')?.value).toBe(1)
    things.put('b', 2)
    things.put('a', 3)
    things.delete('b')
    await eventually(() => changes.length === 4)
    expect(namesOf(reflector)).toEqual(['a'])
    expect(changes.map(({ key, now, before }) => [key, now?.value, before?.value])).toEqual([
      ['a', 1, undefined],
      ['b', 2, undefined],
      ['a', 3, 1],
      ['b', undefined, 2],
    ])
    // A deletion brings the last state, not the one that was known.
    expect(changes[3]?.before?.metadata.resourceVersion).toBe('1004')
  })

  test('has its copy changed before it says so', async () => {
    const seen: (number | undefined)[] = []
    const { reflector } = reflect(things, { onChange: ({ key }) => seen.push(reflector.get(key)?.value) })
    await reflector.synced
    things.put('a', 1)
    things.delete('a')
    await eventually(() => seen.length === 2)
    expect(seen).toEqual([1, undefined])
  })

  test('lists in pages of one moment', async () => {
    for (let n = 0; n < 5; n++) things.put(`t${n}`, n)
    const { reflector } = reflect(things, { timings: { pageSize: 2 } })
    await reflector.synced
    expect([...reflector.list()]).toHaveLength(5)
    expect(things.listed.map(({ limit, continueToken }) => [limit, Boolean(continueToken)])).toEqual([
      [2, false],
      [2, true],
      [2, true],
    ])
  })

  test('asks for pages of 500 by itself', async () => {
    await reflect(things).reflector.synced
    expect(things.listed).toEqual([{ limit: 500 }])
  })

  test('lists all at once when the moment of its pages has become too old', async () => {
    for (let n = 0; n < 5; n++) things.put(`t${n}`, n)
    const list = things.list.bind(things)
    things.list = async (page) => {
      if (page.continueToken) things.compact()
      return list(page)
    }
    const { reflector } = reflect(things, { timings: { pageSize: 2 } })
    await reflector.synced
    expect([...reflector.list()]).toHaveLength(5)
    expect(things.listed.map(({ limit }) => limit)).toEqual([2, 2, 0])
  })

  test('keeps only what it is told to keep', async () => {
    const strip = ({ metadata: { name, resourceVersion } }: Thing): Thing => ({
      metadata: { name, ...(resourceVersion && { resourceVersion }) },
      value: 0,
    })
    things.put('a', 7)
    const { reflector, changes } = reflect(things, { keep: strip })
    await reflector.synced
    things.put('a', 8)
    things.delete('a')
    await eventually(() => changes.length === 3)
    expect(changes.flatMap(({ now, before }) => [now?.value, before?.value])).toEqual([
      0,
      undefined,
      0,
      0,
      undefined,
      0,
    ])
    expect(changes[1]?.now?.metadata.uid).toBeUndefined()
  })

  test('asks for a time between 240 and 300 seconds, by chance, so that not all watches come back at once', async () => {
    const chances = [0, 0.5, 1]
    const { reflector } = reflect(things, { random: () => chances.shift() ?? 0 })
    await reflector.synced
    for (let count = 1; count <= 3; count++) {
      await eventually(() => things.watched.length === count && things.watching === 1)
      things.tellWatches('end')
    }
    expect(things.watched.slice(0, 3).map(({ timeoutSeconds }) => timeoutSeconds)).toEqual([240, 270, 300])
  })

  test('goes on from the last event when the server ends the watch, or the connection is cut', async () => {
    const { reflector, changes } = reflect(things)
    await reflector.synced
    await eventually(() => things.watching === 1)
    things.put('a', 1)
    things.tellWatches('end')
    await eventually(() => things.watched.length === 2)
    things.put('b', 2)
    await eventually(() => changes.length === 2)
    things.tellWatches(new Error('ECONNRESET'))
    things.put('c', 3)
    await eventually(() => changes.length === 3)
    expect(things.watched.map(({ resourceVersion }) => resourceVersion)).toEqual(['1000', '1001', '1002'])
    expect(things.listed).toHaveLength(1)
  })

  test('goes on from a bookmark, so that a quiet collection does not become too old', async () => {
    const { reflector, changes } = reflect(things)
    await reflector.synced
    await eventually(() => things.watching === 1)
    things.bookmark()
    things.compact()
    things.tellWatches('end')
    await eventually(() => things.watched.length === 2)
    things.put('a', 1)
    await eventually(() => changes.length === 1)
    expect(things.listed).toHaveLength(1)
  })

  test('lists again when what it knows is too old, and says what was created, changed, replaced and deleted meanwhile', async () => {
    for (const name of ['changed', 'deleted', 'replaced', 'same']) things.put(name, 1)
    const { reflector, changes } = reflect(things)
    await reflector.synced
    await eventually(() => things.watching === 1)
    changes.length = 0
    things.tellWatches('end')
    things.put('changed', 2)
    things.put('created', 2)
    things.delete('deleted')
    things.delete('replaced')
    things.put('replaced', 2)
    things.compact()
    await eventually(() => things.listed.length === 2)
    await eventually(() => changes.length >= 5)
    const told = changes.map(({ key, now, before }) => [key, before?.value, now?.value])
    expect(told.sort()).toEqual([
      ['changed', 1, 2],
      ['created', undefined, 2],
      ['deleted', 1, undefined],
      ['replaced', undefined, 2],
      ['replaced', 1, undefined],
    ])
    const replaced = changes.filter(({ key }) => key === 'replaced')
    expect(replaced.map(({ now }) => Boolean(now))).toEqual([false, true])
  })

  test.each([
    ['410 to the watch', 410, 2],
    ['403 to the watch', 403, 2],
    ['504 to the watch, as to a resourceVersion of the future', 504, 2],
    ['429 to the watch', 429, 1],
  ])('%s: lists %d', async (_name, status, lists) => {
    things.watchFails = [answer(status)]
    const { reflector, changes } = reflect(things)
    await reflector.synced
    await eventually(() => things.watching === 1)
    things.put('a', 1)
    await eventually(() => changes.length === 1)
    expect(things.listed).toHaveLength(lists)
  })

  test('lists again after an ERROR event, whatever its code', async () => {
    const { reflector } = reflect(things)
    await reflector.synced
    await eventually(() => things.watching === 1)
    things.tellWatches({ type: 'ERROR', object: { code: 500, message: 'etcd has a new leader' } })
    await eventually(() => things.listed.length === 2)
    things.tellWatches({ type: 'ERROR', object: {} })
    await eventually(() => things.listed.length === 3 && things.watching === 1)
  })

  test('tries a list that fails until it succeeds, waiting longer and longer', async () => {
    things.put('a', 1)
    things.listFails = [0, 500, 403, 0].map((status) => answer(status))
    const lines: Facts[] = []
    const say = (_message: string, facts: Facts = {}) => lines.push(facts)
    const log: Log = { ...silent, warn: say }
    const listedAtMs: number[] = []
    const list = things.list.bind(things)
    things.list = (page) => {
      listedAtMs.push(performance.now())
      return list(page)
    }
    const backOff = { firstMs: 10, longestMs: 40 }
    const { reflector } = reflect(things, { log, random: () => 0, timings: { backOff } })
    await reflector.synced
    expect(reflector.get('a')?.value).toBe(1)
    const waitsMs = listedAtMs.slice(1).map((at, index) => at - (listedAtMs[index] ?? 0))
    for (const [index, ms] of [10, 20, 40, 40].entries()) expect(waitsMs[index]).toBeGreaterThan(ms - 2)
    expect(lines).toHaveLength(1)
  })

  test('takes a watch that ends at once without a word for a failure: no tight loop', async () => {
    const ended = async function* (): AsyncGenerator<WatchEvent<Thing>> {}
    let watches = 0
    things.watch = () => {
      watches++
      return ended()
    }
    const backOff = { firstMs: 50, longestMs: 10_000 }
    const timings = { backOff, leastWatchMs: 1000 }
    const startedMs = performance.now()
    const { reflector } = reflect(things, { random: () => 0, timings })
    await reflector.synced
    await eventually(() => watches === 3)
    expect(performance.now() - startedMs).toBeGreaterThan(140)
  })

  test('cuts a watch that lasts longer than it was asked for, and begins another', async () => {
    const timings = { shortestWatchSeconds: 0, longestWatchSeconds: 0, graceMs: 30 }
    const { reflector } = reflect(things, { timings })
    await reflector.synced
    await eventually(() => things.watched.length >= 3)
    expect(things.watched[0]?.signal.aborted).toBe(true)
    expect(things.listed).toHaveLength(1)
  })

  test('goes on when what hears of changes throws, and logs that', async () => {
    const heard: string[] = []
    const errors: Facts[] = []
    const log: Log = { ...silent, error: (_message, facts = {}) => errors.push(facts) }
    things.put('a', 1)
    const onChange = ({ key }: Change<Thing>) => {
      heard.push(key)
      throw new Error('no')
    }
    const { reflector } = reflect(things, { onChange, log })
    await reflector.synced
    things.put('b', 1)
    await eventually(() => heard.length === 2)
    things.put('c', 1)
    await eventually(() => heard.length === 3)
    expect(things.watched).toHaveLength(1)
    expect(errors.map(({ collection, key }) => [collection, key])).toEqual([
      ['things', 'a'],
      ['things', 'b'],
      ['things', 'c'],
    ])
  })

  test('says again and again that nothing changed, so that nothing is forgotten for ever', async () => {
    things.put('a', 1)
    const { changes, reflector } = reflect(things, { timings: { resyncMs: 10 } })
    await reflector.synced
    await eventually(() => changes.length >= 3)
    expect(changes[0]?.before).toBeUndefined()
    expect(changes[1]?.now).toBe(changes[1]?.before)
    expect(changes[1]?.now).toBe(reflector.get('a'))
  })

  test('ends with its signal, also while it waits', async () => {
    const { stop, reflector } = reflect(things)
    await reflector.synced
    await eventually(() => things.watching === 1)
    await stop()
    expect(things.watching).toBe(0)
    const away = new Collection()
    away.listFails = [answer(0)]
    const waiting = reflect(away, { timings: { backOff: { firstMs: 60_000, longestMs: 60_000 } } })
    await eventually(() => away.listed.length === 1)
    await waiting.stop()
    expect(waiting.reflector.isSynced).toBe(false)
  })

  test('names an object by its namespace and name', () => {
    expect(keyOf({ metadata: { name: 'a', namespace: 'n' } })).toBe('n/a')
    expect(keyOf({ metadata: { name: 'a' } })).toBe('a')
  })
})

describe('whatever happens to a collection and its connections', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e')
  const step = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('put' as const), name }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('delete' as const), name }) },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constantFrom('cut', 'end', 'compact', 'bookmark', 'error', 'listFails', 'watchFails', 'turn'),
      }),
    },
  )

  test('the copy becomes equal to it, and what was told of makes up the copy', async () => {
    const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const things = new Collection()
      const told = new Map<string, Thing>()
      const onChange = ({ key, now }: Change<Thing>) => {
        if (now) told.set(key, now)
        else told.delete(key)
      }
      const { reflector, stop } = reflect(things, {
        onChange,
        timings: { pageSize: 2, backOff: { firstMs: 0.1, longestMs: 1 } },
      })
      let value = 0
      for (const each of steps) {
        if (each.do === 'put' && 'name' in each) things.put(each.name, ++value)
        else if (each.do === 'delete' && 'name' in each) things.delete(each.name)
        else if (each.do === 'cut') things.tellWatches(new Error('ECONNRESET'))
        else if (each.do === 'end') things.tellWatches('end')
        else if (each.do === 'compact') things.compact()
        else if (each.do === 'bookmark') things.bookmark()
        else if (each.do === 'error') things.tellWatches({ type: 'ERROR', object: { code: 410 } })
        else if (each.do === 'listFails') things.listFails.push(answer(500))
        else if (each.do === 'watchFails') things.watchFails.push(answer(410))
        else await new Promise(setImmediate)
      }
      // Whoever has seen this has seen, or will never see, what was told before it.
      things.put('last', ++value)
      const valuesOf = (objects: Iterable<[string, Thing]>) =>
        JSON.stringify([...objects].map(([key, object]) => [key, object.value]).sort())
      const copy = () => [...reflector.list()].map((each): [string, Thing] => [keyOf(each), each])
      const wanted = valuesOf(things.objects)
      await eventually(() => reflector.isSynced && valuesOf(copy()) === wanted, {
        withinMs: 3_000,
        everyMs: 1,
      })
      await stop()
      expect(valuesOf(told)).toBe(wanted)
    })
    const seed = Number(process.env.MILLHAND_TEST_SEED ?? Math.trunc(Math.random() * 2 ** 31))
    console.log(`reflector: MILLHAND_TEST_SEED=${seed}`)
    await fc.assert(property, { seed, numRuns: 100 })
  }, 60_000)
})
