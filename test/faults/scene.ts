// What every fault test needs: queues of its own, a client, workers that it may hurt, a history, and at the end the judgement that
// nothing was lost, nothing is held and nothing is left over.
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { type Client, type ClientQueue, connect, type EnqueueRequest, type JobHandle } from 'millhand/client'
import {
  accessVariables,
  type Connection,
  connectRedis,
  defaultSettings,
  openQueue,
  type Queue,
  type QueueSettings,
  type RedisAccess,
} from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { type Expectations, History, judge } from '../history.ts'
import { descendants, isAlive } from '../processes.ts'
import { redisUrl } from '../redis.ts'
import { startWorker, type WorkerOptions, type WorkerProcess } from '../worker-process.ts'

export const RECORDED = fileURLToPath(new URL('../tasks/recorded.ts', import.meta.url))

export const ISOLATIONS = ['Fork', 'Spawn', 'Reuse'] as const
export type Isolation = (typeof ISOLATIONS)[number]

export class Scene {
  readonly namespace = `t${randomBytes(5).toString('hex')}`
  readonly history = new History()
  readonly access: RedisAccess
  readonly isolation: Isolation
  readonly redis: Connection
  readonly client: Client
  readonly queue: Queue
  readonly jobs: ClientQueue
  readonly workers: WorkerProcess[] = []
  readonly recorded = RECORDED
  readonly #pids = new Set<number>()

  constructor(access: string | RedisAccess = redisUrl(), isolation: Isolation = 'Fork') {
    this.access = typeof access === 'string' ? { url: access } : access
    this.isolation = isolation
    this.redis = connectRedis(access)
    this.client = connect({ redis: access, namespace: this.namespace })
    this.jobs = this.client.queue('jobs')
    this.queue = openQueue(this.redis, this.jobs.name)
  }

  async settings(changes: Partial<QueueSettings>): Promise<void> {
    await this.queue.configure({ ...defaultSettings, ownerUid: 'scene', backoffMs: 0, ...changes })
  }

  async worker(options: Partial<WorkerOptions> = {}): Promise<WorkerProcess> {
    const access = { ...this.access, url: options.redisUrl ?? this.access.url }
    const worker = await startWorker({
      redisUrl: access.url,
      namespace: this.namespace,
      queues: ['jobs'],
      modules: [RECORDED],
      isolation: this.isolation,
      ...options,
      env: { ...defined(accessVariables(access)), ...options.env },
    })
    this.workers.push(worker)
    return worker
  }

  /** Enqueues so many jobs of a recorded task; the history knows those whose await returned. */
  async enqueue(
    count: number,
    task: string,
    input: Record<string, unknown> = {},
    options: EnqueueRequest['options'] = {},
  ): Promise<JobHandle[]> {
    const requests = Array.from({ length: count }, () => ({
      task,
      input: { ...input, history: this.history.file },
      options,
    }))
    const handles = await this.jobs.enqueueMany(requests)
    for (const { id } of handles) this.history.add({ what: 'acknowledged', job: id })
    return handles
  }

  started(job: string): Promise<{ pid?: number; atMs: number }> {
    return eventually(() => this.history.of('started', job).at(-1), {
      what: `${job} has started`,
      withinMs: 30_000,
    })
  }

  /** A fault is part of the history, with who it hit. */
  fault(detail: string): void {
    this.history.add({ what: 'fault', job: '', detail })
  }

  /** All that a worker has started, now; `end` checks that none of it lives. */
  childrenOf(worker: WorkerProcess): number[] {
    const pids = descendants(worker.pid)
    for (const pid of pids) this.#pids.add(pid)
    return pids
  }

  async idle(withinMs = 60_000): Promise<void> {
    await eventually(
      async () => {
        const { ready, delayed, busy } = await this.queue.depth()
        return ready + delayed + busy === 0
      },
      { what: 'all jobs have ended', withinMs, everyMs: 50 },
    )
  }

  /** The judgement. Stops the workers first: what is held after that is held for ever. */
  async judge(expectations: Expectations): Promise<void> {
    for (const worker of this.workers) if (worker.child.exitCode === null) this.childrenOf(worker)
    const running = this.workers.filter(({ child }) => child.exitCode === null && child.signalCode === null)
    const ends = await Promise.all(running.map((worker) => worker.stop()))
    expect(ends.map(({ code }) => code)).toEqual(running.map(() => 0))
    expect(await judge(this.redis, this.queue.name, this.history, expectations)).toEqual([])
    await eventually(() => [...this.#pids].every((pid) => !isAlive(pid)), {
      what: `no process is left of ${[...this.#pids]}`,
    })
    expect(running.map(({ stderr }) => stderr).join('')).toBe('')
  }

  async end(): Promise<void> {
    for (const worker of this.workers) {
      worker.kill('SIGCONT')
      worker.kill('SIGKILL')
    }
    await Promise.all(this.workers.map(({ ended }) => ended))
    this.client.close()
    this.redis.close()
    this.history.remove()
  }
}

/** Runs a test with a scene and cleans up, however it ends. */
export function scene(
  play: (scene: Scene) => Promise<void>,
  url?: () => string,
  isolation?: Isolation,
): () => Promise<void> {
  return async () => {
    const played = new Scene(url?.(), isolation)
    try {
      await play(played)
    } finally {
      await played.end()
    }
  }
}

function defined(variables: Record<string, string | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  )
}
