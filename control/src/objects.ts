// The resources of all kinds as they are now, by key and by what they name, and who is to be looked at when
// one changes. What they are is told by whoever watches: the operator's caches, or the files of
// `millhand up`. Kinds differ by their rows in kinds.ts alone.
import { type KeysOf, type KindRow, kinds } from './kinds.ts'
import { type Change, type IndexOf, isNews, type ObjectOf } from './resources/object.ts'
import { KINDS, type Kind } from './resources/schemas.ts'

export interface ObjectsOptions {
  look: (kind: Kind, key: string) => void
  /** Only these are found by their key; default: all. */
  isServed?: (key: string) => boolean
}

export class Objects {
  readonly #options: ObjectsOptions
  readonly #byKey = new Map<Kind, Map<string, unknown>>(KINDS.map((kind) => [kind, new Map()]))
  readonly #indexes = new Map<string, Index>()

  constructor(options: ObjectsOptions) {
    this.#options = options
  }

  readonly keysOf: KeysOf = (kind, index, name) => this.#index(kind, index).get(name)

  get<K extends Kind>(kind: K, key: string): ObjectOf[K] | undefined {
    return this.#isServed(key) ? this.#of(kind).get(key) : undefined
  }

  *list<K extends Kind>(kind: K): Iterable<ObjectOf[K]> {
    for (const [key, object] of this.#of(kind)) if (this.#isServed(key)) yield object
  }

  /** Those that an index of their row has under this name. */
  *find<K extends Kind>(kind: K, index: IndexOf[K], name: string): Iterable<ObjectOf[K]> {
    for (const key of this.keysOf(kind, index, name)) {
      const object = this.#of(kind).get(key)
      if (object) yield object
    }
  }

  change<K extends Kind>(kind: K, change: Change<ObjectOf[K]>): void {
    const row: KindRow<K> = kinds[kind]
    const { key, now, before } = change
    if (now) this.#of(kind).set(key, now)
    else this.#of(kind).delete(key)
    const indexes = Object.entries<(object: ObjectOf[K]) => string[]>(row.indexes)
    for (const [index, namesOf] of indexes)
      this.#index(kind, index).move(key, before ? namesOf(before) : [], now ? namesOf(now) : [])
    if (isNews(change)) this.#options.look(kind, key)
    for (const woken of row.wakes?.(change, this.keysOf) ?? []) this.#options.look(woken.kind, woken.key)
  }

  /** For whoever has seen no changes. */
  lookAtAll(isMeant: (namespace: string | undefined) => boolean = () => true): void {
    for (const kind of KINDS)
      for (const [key, { metadata }] of this.#of(kind))
        if (isMeant(metadata.namespace)) this.#options.look(kind, key)
  }

  #isServed(key: string): boolean {
    return this.#options.isServed?.(key) ?? true
  }

  #of<K extends Kind>(kind: K): Map<string, ObjectOf[K]> {
    return this.#byKey.get(kind) as Map<string, ObjectOf[K]>
  }

  #index(kind: Kind, name: string): Index {
    const known = this.#indexes.get(`${kind} ${name}`) ?? new Index()
    this.#indexes.set(`${kind} ${name}`, known)
    return known
  }
}

/** Keys under other names. */
export class Index {
  readonly #keys = new Map<string, Set<string>>()

  get(under: string): Iterable<string> {
    return this.#keys.get(under) ?? []
  }

  move(key: string, from: readonly string[], to: readonly string[]): void {
    for (const under of from) {
      const keys = this.#keys.get(under)
      keys?.delete(key)
      if (keys?.size === 0) this.#keys.delete(under)
    }
    for (const under of to) {
      const keys = this.#keys.get(under) ?? new Set()
      keys.add(key)
      this.#keys.set(under, keys)
    }
  }
}
