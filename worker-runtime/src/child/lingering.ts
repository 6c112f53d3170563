// Children whose job has its result and who still have something to do: a write that was not awaited, the last batch of a tracer. They hold up
// neither the result nor the next job. With those that run jobs there are at most two a slot; for room, the oldest is ended.
// result → gone at once (most), or: → lingers → gone by itself, or ended after a second, or for room
import { startDeadline } from '../deadline.ts'
import type { Log } from '../log.ts'
import type { Child } from './child.ts'
import type { Taking } from './spares.ts'

const MOST_MS = 1_000
/** Also when others wait for its place. */
const LEAST_MS = 100

export class Lingering {
  readonly #log: Log
  readonly #sinceMs = new Map<Child, number>()
  readonly #toldOf = new Set<string>()

  constructor(log: Log) {
    this.#log = log
  }

  get size(): number {
    return this.#sinceMs.size
  }

  /** Resolves when the child is gone or lingers. */
  async end(child: Child, task: string): Promise<void> {
    const callOff = startDeadline(MOST_MS, () => child.kill('SIGKILL'))
    void child.closed.then(callOff)
    const lingers = child.lingers.then((resources) => {
      if (child.ending) return
      this.#sinceMs.set(child, performance.now())
      void child.closed.then(({ signal }) => {
        this.#sinceMs.delete(child)
        if (signal !== undefined) this.#tellOnce(task, resources)
      })
    })
    await Promise.race([child.closed, lingers])
  }

  /** Takes a child when there are fewer than `most`. */
  takeWhenFewerThan(most: number, take: () => Taking): Taking {
    if (this.size < most) return take()
    let taking: Taking | undefined
    let isCancelled = false
    const whenRoom = async () => {
      while (this.size >= most && !isCancelled) await this.#endOldest()
      taking = take()
      if (isCancelled) taking.cancel()
      return taking.child
    }
    const cancel = () => {
      isCancelled = true
      taking?.cancel()
    }
    return { child: whenRoom(), cancel }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#sinceMs.keys()].map(({ closed }) => closed))
  }

  async #endOldest(): Promise<void> {
    const [oldest] = this.#sinceMs
    if (!oldest) return
    const [child, sinceMs] = oldest
    const leftMs = Math.max(0, sinceMs + LEAST_MS - performance.now())
    void child.closed.then(startDeadline(leftMs, () => child.kill('SIGKILL')))
    await child.closed
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
