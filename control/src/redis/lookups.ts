// DNS look-ups with a bound for each namespace. getaddrinfo has no deadline, cannot be cancelled, and
// occupies one of a few threads. Each namespace gets two at a time, so that a slow zone delays nobody else.
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'

/** DNS did not answer in time: nothing is known of the name. */
export class LookUpTimeout extends Error {
  override readonly name = 'LookUpTimeout'
}

export interface LookupsOptions {
  /** Default: the resolver of the system. */
  resolve?: (host: string) => Promise<readonly string[]>
  deadlineMs?: number
}

const AT_ONCE = 2
const DEADLINE_MS = 2_000
/** Look-ups of one namespace that may wait; further ones fail with LookUpTimeout. */
const MOST_WAITING = 100

interface Waiting {
  host: string
  begin: () => void
}

export class Lookups {
  readonly #resolve: (host: string) => Promise<readonly string[]>
  readonly #deadlineMs: number
  /** By namespace and host: callers share a look-up that is under way. */
  readonly #running = new Map<string, Promise<readonly string[]>>()
  /** Threads that a namespace occupies, also after the deadline. */
  readonly #threads = new Map<string, number>()
  readonly #waiting = new Map<string, Waiting[]>()

  constructor({ resolve = addressesOf, deadlineMs = DEADLINE_MS }: LookupsOptions = {}) {
    this.#resolve = resolve
    this.#deadlineMs = deadlineMs
  }

  /** Empty where the name has none; throws LookUpTimeout. */
  async addressesOf(namespace: string, host: string): Promise<readonly string[]> {
    if (isIP(host)) return [host]
    const key = `${namespace}/${host}`
    const running = this.#running.get(key) ?? this.#begin(namespace, host, key)
    return within(this.#deadlineMs, running, host)
  }

  #begin(namespace: string, host: string, key: string): Promise<readonly string[]> {
    const waiting = this.#waiting.get(namespace) ?? []
    if (waiting.length >= MOST_WAITING)
      return Promise.reject(new LookUpTimeout(`too many look-ups wait before that of ${host}`))
    this.#waiting.set(namespace, waiting)
    const found = new Promise<readonly string[]>((resolve) => {
      const begin = () => {
        resolve(
          this.#resolve(host)
            .catch(() => [])
            .finally(() => {
              this.#running.delete(key)
              this.#threads.set(namespace, (this.#threads.get(namespace) ?? 1) - 1)
              this.#next(namespace)
            }),
        )
      }
      waiting.push({ host, begin })
    })
    this.#running.set(key, found)
    this.#next(namespace)
    return found
  }

  #next(namespace: string): void {
    const threads = this.#threads.get(namespace) ?? 0
    const next = threads < AT_ONCE ? this.#waiting.get(namespace)?.shift() : undefined
    if (next) {
      this.#threads.set(namespace, threads + 1)
      next.begin()
    } else if (threads === 0) {
      this.#threads.delete(namespace)
      this.#waiting.delete(namespace)
    }
  }
}

async function within<T>(ms: number, answer: Promise<T>, host: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LookUpTimeout(`no name server said in time where ${host} is`)), ms)
  })
  try {
    return await Promise.race([answer, tooLate])
  } finally {
    clearTimeout(timer)
  }
}

async function addressesOf(host: string): Promise<string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}
