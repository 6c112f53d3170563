// Keeps a copy of a collection of the API server by list and watch. main.ts runs one for each kind and
// namespace; reconciles read the copy, and every change puts a key on a queue.
//
//   no resourceVersion ──list, in pages──▶ watch from a resourceVersion ──ended or cut──▶ watch again from the last one heard of
//          ▲                                          │
//          └───── 410, an ERROR event, refused ───────┘      each failure waits, longer and longer; nothing ends it but its signal

import { type BackOff, sleep, waitAfterFailuresMs } from '@millhand/control/engine/backoff'
import type { ObjectMetadata } from '@millhand/control/resources/metadata'
import type { Log } from 'millhand/queue'

export interface KubeObject {
  metadata: ObjectMetadata
}

export type WatchEvent<T extends KubeObject> =
  | { type: 'ADDED' | 'MODIFIED' | 'DELETED'; object: T }
  | { type: 'BOOKMARK'; object: { metadata: { resourceVersion: string } } }
  | { type: 'ERROR'; object: { code?: number; reason?: string; message?: string } }

/** The source of the objects. Its errors may have the HTTP `status`; 0 or none: there was no answer. */
export interface ListWatch<T extends KubeObject> {
  /** A limit of 0 asks for everything in one page. */
  list(page: { limit: number; continueToken?: string; signal: AbortSignal }): Promise<Page<T>>
  watch(from: {
    resourceVersion: string
    timeoutSeconds: number
    signal: AbortSignal
  }): AsyncIterable<WatchEvent<T>>
}

export interface Page<T extends KubeObject> {
  items: T[]
  resourceVersion: string
  continueToken?: string
}

/**
 * Without `now` the object is gone, and `before` is its last state. `now` === `before`: a resync without a
 * change.
 */
export interface Change<T extends KubeObject> {
  key: string
  now?: T
  before?: T
}

export interface ReflectorOptions<T extends KubeObject> {
  name: string
  source: ListWatch<T>
  /** Drops fields to save memory. Name, namespace, uid and resourceVersion have to stay. */
  keep?: (object: T) => T
  /** Its errors are logged. */
  onChange: (change: Change<T>) => void
  /** Called when the API server begins to refuse the list (no namespace, no right), or to answer it again. */
  onRefused?: (refusal: unknown) => void
  log: Log
  random?: () => number
  nowMs?: () => number
  timings?: Partial<ReflectorTimings>
}

export interface ReflectorTimings {
  pageSize: number
  /** Each watch asks for a random time-out between these two, so that not all reconnect at once. */
  shortestWatchSeconds: number
  longestWatchSeconds: number
  /** A watch that outlasts its time-out by this time is dead and is cut. */
  graceMs: number
  /** A watch that ends sooner and brought nothing has failed. */
  leastWatchMs: number
  /** A watch that lasted for this time was connected, however it ended. */
  settledMs: number
  /** Bookmarks come every minute: a watch that is silent for longer is restarted. */
  silentMs: number
  resyncMs: number
  backOff: BackOff
}

const TIMINGS: ReflectorTimings = {
  pageSize: 500,
  shortestWatchSeconds: 240,
  longestWatchSeconds: 300,
  graceMs: 30_000,
  leastWatchMs: 1_000,
  settledMs: 20_000,
  silentMs: 90_000,
  resyncMs: 600_000,
  backOff: { firstMs: 800, longestMs: 10_000 },
}

export class Reflector<T extends KubeObject> {
  /** Resolves after the first list; stays pending when the signal comes first. */
  readonly synced: Promise<void>
  readonly #options: ReflectorOptions<T>
  readonly #timings: ReflectorTimings
  readonly #nowMs: () => number
  readonly #random: () => number
  #objects = new Map<string, T>()
  /** The known resourceVersion of the collection; undefined: list it. */
  #resourceVersion: string | undefined
  #failures = 0
  #wasTooOld = false
  #isSynced = false
  #refusal: unknown
  #resolveSynced = () => {}

  constructor(options: ReflectorOptions<T>) {
    this.#options = options
    this.#timings = { ...TIMINGS, ...options.timings }
    this.#nowMs = options.nowMs ?? (() => performance.now())
    this.#random = options.random ?? Math.random
    this.synced = new Promise((resolve) => {
      this.#resolveSynced = resolve
    })
  }

  get name(): string {
    return this.#options.name
  }

  get isSynced(): boolean {
    return this.#isSynced
  }

  /**
   * Why the API server refuses the list; undefined when it answers it, and while it does not answer at all.
   */
  get refusal(): unknown {
    return this.#refusal
  }

  get(key: string): T | undefined {
    return this.#objects.get(key)
  }

  list(): Iterable<T> {
    return this.#objects.values()
  }

  /** Resolves after the signal; nothing else ends it. */
  async run(signal: AbortSignal): Promise<void> {
    const resync = setInterval(() => this.#resync(), this.#timings.resyncMs)
    try {
      while (!signal.aborted) await this.#round(signal)
    } finally {
      clearInterval(resync)
    }
  }

  async #round(signal: AbortSignal): Promise<void> {
    try {
      const resourceVersion = this.#resourceVersion ?? (await this.#relist(signal))
      await this.#watch(resourceVersion, signal)
    } catch (error) {
      if (signal.aborted) return
      // An error status needs a new list, except 429.
      const status = statusOf(error)
      if (status >= 400 && status !== 429) this.#resourceVersion = undefined
      if (status === 403 || status === 404) this.#turn(error)
      // A first 410 after an outage is no failure: relist soon. A repeated one backs off.
      if (status === 410 && !this.#wasTooOld) this.#failures = 0
      this.#wasTooOld = status === 410
      this.#failures++
      const { name, log } = this.#options
      const facts = { collection: name, failures: this.#failures, error }
      if (status === 410) log.info('resourceVersion expired: relisting', facts)
      else log[this.#failures === 1 ? 'warn' : 'debug']('watch failed: retrying', facts)
      await sleep(waitAfterFailuresMs(this.#timings.backOff, this.#failures, this.#random), signal)
    }
  }

  async #relist(signal: AbortSignal): Promise<string> {
    const { objects, resourceVersion } = await this.#listAll(signal, this.#timings.pageSize)
    const old = this.#objects
    this.#objects = objects
    this.#resourceVersion = resourceVersion
    for (const [key, now] of objects) {
      const known = old.get(key)
      const isAnother = known !== undefined && known.metadata.uid !== now.metadata.uid
      if (isAnother) this.#notify({ key, before: known })
      if (!known || isAnother) this.#notify({ key, now })
      else if (known.metadata.resourceVersion !== now.metadata.resourceVersion)
        this.#notify({ key, now, before: known })
    }
    for (const [key, before] of old) if (!objects.has(key)) this.#notify({ key, before })
    if (!this.#isSynced)
      this.#options.log.debug('cache synced', { collection: this.#options.name, size: objects.size })
    this.#isSynced = true
    this.#resolveSynced()
    this.#turn(undefined)
    return resourceVersion
  }

  /** All pages have one resourceVersion. When it expires in between, everything is listed in one page. */
  async #listAll(
    signal: AbortSignal,
    limit: number,
  ): Promise<{ objects: Map<string, T>; resourceVersion: string }> {
    const { source, keep = (object) => object } = this.#options
    const objects = new Map<string, T>()
    let continueToken: string | undefined
    try {
      for (;;) {
        const page = await source.list({ limit, signal, ...(continueToken && { continueToken }) })
        for (const object of page.items) objects.set(keyOf(object), keep(object))
        continueToken = page.continueToken
        if (!continueToken) return { objects, resourceVersion: page.resourceVersion }
      }
    } catch (error) {
      if (continueToken && statusOf(error) === 410) return this.#listAll(signal, 0)
      throw error
    }
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { shortestWatchSeconds, longestWatchSeconds, graceMs, leastWatchMs, settledMs, silentMs } =
      this.#timings
    const spread = (longestWatchSeconds - shortestWatchSeconds) * this.#random()
    const timeoutSeconds = Math.round(shortestWatchSeconds + spread)
    const watchdog = AbortSignal.timeout(timeoutSeconds * 1000 + graceMs)
    const silence = new AbortController()
    const silent = setTimeout(() => silence.abort(), silentMs)
    const startedMs = this.#nowMs()
    let hasHeard = false
    try {
      const events = this.#options.source.watch({
        resourceVersion,
        timeoutSeconds,
        signal: AbortSignal.any([signal, watchdog, silence.signal]),
      })
      for await (const event of events) {
        this.#take(event)
        silent.refresh()
        hasHeard = true
        this.#goesWell()
      }
    } catch (error) {
      if (!silence.signal.aborted) throw error
    } finally {
      clearTimeout(silent)
      if (this.#nowMs() - startedMs >= settledMs) this.#goesWell()
    }
    if (!hasHeard && this.#nowMs() - startedMs < leastWatchMs) throw new Error('the watch ended at once')
  }

  #turn(refusal: unknown): void {
    const hasTurned = (refusal === undefined) !== (this.#refusal === undefined)
    this.#refusal = refusal
    if (hasTurned) this.#options.onRefused?.(refusal)
  }

  #goesWell(): void {
    if (this.#failures > 1) this.#options.log.info('watch works again', { collection: this.#options.name })
    this.#failures = 0
  }

  #take(event: WatchEvent<T>): void {
    if (event.type === 'ERROR') {
      const { code, message = 'the API server ended the watch' } = event.object
      throw Object.assign(new Error(message), { status: code || 500 })
    }
    const { object } = event
    if (event.type !== 'BOOKMARK') this.#store(event.type, event.object)
    this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion
  }

  #store(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void {
    const { keep = (all) => all } = this.#options
    const key = keyOf(object)
    const now = keep(object)
    const before = this.#objects.get(key)
    if (type === 'DELETED') {
      this.#objects.delete(key)
      this.#notify({ key, before: now })
      return
    }
    this.#objects.set(key, now)
    this.#notify({ key, now, ...(before && { before }) })
  }

  #resync(): void {
    for (const [key, object] of [...this.#objects]) this.#notify({ key, now: object, before: object })
  }

  #notify(change: Change<T>): void {
    try {
      this.#options.onChange(change)
    } catch (error) {
      const facts = { collection: this.#options.name, key: change.key, error }
      this.#options.log.error('watch handler failed', facts)
    }
  }
}

/** `<namespace>/<name>`, or the name alone for cluster-scoped objects. */
export function keyOf({ metadata: { namespace, name } }: KubeObject): string {
  return namespace ? `${namespace}/${name}` : name
}

function statusOf(error: unknown): number {
  const status = error instanceof Error && 'status' in error ? error.status : 0
  return typeof status === 'number' ? status : 0
}
