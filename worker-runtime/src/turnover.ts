// A map whose entries come and go all the time: held jobs, running attempts. V8 moves a Map or a Set to
// another table after so many deletions, and a dead table points to the one that followed it. Once a
// collection has moved one of them to the old generation, all that came after it stays alive until the next
// full collection, and is copied by each small one. So here a deleted key stays, without a value, until a new
// Map takes over what is left.
const MOST_DELETED = 64

export class TurnoverMap<Key, Value extends object> {
  #map = new Map<Key, Value | undefined>()
  #size = 0

  get size(): number {
    return this.#size
  }

  get(key: Key): Value | undefined {
    return this.#map.get(key)
  }

  set(key: Key, value: Value): void {
    if (this.#map.get(key) === undefined) this.#size += 1
    this.#map.set(key, value)
  }

  delete(key: Key): boolean {
    if (this.#map.get(key) === undefined) return false
    this.#map.set(key, undefined)
    this.#size -= 1
    if (this.#map.size > 2 * this.#size + MOST_DELETED) this.#renew()
    return true
  }

  clear(): void {
    this.#map = new Map()
    this.#size = 0
  }

  /** As of now: what comes or goes afterwards changes nothing in it. */
  entries(): [Key, Value][] {
    const living: [Key, Value][] = []
    this.#map.forEach((value, key) => {
      if (value !== undefined) living.push([key, value])
    })
    return living
  }

  values(): Value[] {
    return this.entries().map(([, value]) => value)
  }

  /** `forEach` makes no object for an entry, as an iterator does. */
  #renew(): void {
    const living = new Map<Key, Value | undefined>()
    this.#map.forEach((value, key) => {
      if (value !== undefined) living.set(key, value)
    })
    this.#map = living
  }
}
