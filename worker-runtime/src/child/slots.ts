// The slots of a worker whose children serve one job each. A slot is taken until the job's child has gone. A
// child that still has something to do after its result (a write that was not awaited, the last batch of a
// tracer) lingers: it holds up neither the result nor the next job. With those that run jobs there are at
// most two a slot; for room, the oldest one is ended.
// taken → result → gone at once (most): free; or: → lingers: free → gone by itself, or ended after a second,
// or for room
import { startDeadline } from '../deadline.ts'
import type { Log } from '../log.ts'
import type { Child } from './child.ts'
import type { Taking } from './spares.ts'

const MOST_MS = 1_000
/** A lingering child has at least this time, also when others wait for its place. */
const LEAST_MS = 100

export interface SlotTaking extends Taking {
  /** The job's child is gone or lingers; or there was none. */
  free(): void
}

export class Slots {
  readonly #count: number
  readonly #log: Log
  readonly #waiting = new Set<() => void>()
  readonly #leaving = new Set<Child>()
  readonly #lingeringSinceMs = new Map<Child, number>()
  readonly #toldOf = new Set<string>()
  #taken = 0
  #isMakingRoom = false

  constructor(count: number, log: Log) {
    this.#count = count
    this.#log = log
  }

  /** Takes a child with `take` when a slot is free. */
  take(take: () => Taking): SlotTaking {
    let taking: Taking | undefined
    const { promise: child, resolve } = Promise.withResolvers<Awaited<Taking['child']>>()
    const begin = () => {
      this.#taken += 1
      taking = take()
      resolve(taking.child)
    }
    this.#waiting.add(begin)
    this.#serve()
    const cancel = () => {
      taking?.cancel()
      if (this.#waiting.delete(begin)) resolve({ failure: 'no longer needed' })
    }
    const free = () => {
      if (taking) this.#taken -= 1
      this.#serve()
    }
    return { child, cancel, free }
  }

  /** The job of this child has its result. Resolves when the child has gone or lingers. */
  async leave(child: Child, task: string): Promise<void> {
    this.#leaving.add(child)
    const callOff = startDeadline(MOST_MS, () => child.kill('SIGKILL'))
    void child.closed.then(() => {
      callOff()
      this.#leaving.delete(child)
    })
    const lingers = child.lingers.then((resources) => {
      if (!child.ending) this.#linger(child, task, resources)
    })
    await Promise.race([child.closed, lingers])
  }

  /** Resolves when all children whose job has its result are gone. */
  async stop(): Promise<void> {
    await Promise.all([...this.#leaving].map(({ closed }) => closed))
  }

  #serve(): void {
    for (const begin of this.#waiting) {
      if (this.#taken >= this.#count) break
      if (this.#lingeringSinceMs.size >= Math.max(1, 2 * this.#count - this.#taken)) {
        void this.#endOldest()
        break
      }
      this.#waiting.delete(begin)
      begin()
    }
  }

  #linger(child: Child, task: string, resources: string[]): void {
    this.#lingeringSinceMs.set(child, performance.now())
    void child.closed.then(({ signal }) => {
      this.#lingeringSinceMs.delete(child)
      if (signal !== undefined) this.#tellOnce(task, resources)
      this.#serve()
    })
  }

  async #endOldest(): Promise<void> {
    const [oldest] = this.#lingeringSinceMs
    if (!oldest || this.#isMakingRoom) return
    this.#isMakingRoom = true
    const [child, sinceMs] = oldest
    const leftMs = Math.max(0, sinceMs + LEAST_MS - performance.now())
    const callOff = startDeadline(leftMs, () => child.kill('SIGKILL'))
    await child.closed
    callOff()
    this.#isMakingRoom = false
    this.#serve()
  }

  #tellOnce(task: string, resources: string[]): void {
    if (this.#toldOf.has(task)) return
    this.#toldOf.add(task)
    this.#log.warn('a job left something open: its child was ended after the result; await it, or close it', {
      task,
      leftOpen: resources,
    })
  }
}
