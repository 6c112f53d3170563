// Snapshots of all queues and pools: taken when somebody asks, and each second while somebody watches.
// Viewers who may see the same namespaces get the same bytes.
import type { ObjectOf } from '@millhand/control/resources/object'
import type { Kind } from '@millhand/control/resources/schemas'
import type { WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import type { Log } from 'millhand/queue'
import { MOST_ROWS, type Snapshot } from '../api.ts'
import { keyOf, type Looks } from './looks.ts'
import { conditionsOf, poolOf } from './numbers.ts'
import type { Plant } from './plant.ts'
import { problemsIn } from './problems.ts'
import { frameOf, type Viewer } from './viewers.ts'

export interface SnapshotsOptions {
  plant: Plant
  looks: Looks
  log: Log
  nowMs: () => number
  wallMs: () => number
}

interface Group {
  namespaces: readonly string[]
  viewers: Set<Viewer>
  /** Without times. */
  last: string
  frame: Buffer | undefined
  sentAtMs: number
}

const EVERY_MS = 1_000
/** Pages take a longer silence for a proxy that holds events back. */
const LONGEST_SILENCE_MS = 9_000

export class Snapshots {
  readonly #options: SnapshotsOptions
  readonly #groups = new Map<string, Group>()
  #timer: NodeJS.Timeout | undefined
  #isTicking = false

  constructor(options: SnapshotsOptions) {
    this.#options = options
  }

  async take(namespaces: readonly string[]): Promise<Snapshot> {
    const { plant, looks, wallMs } = this.#options
    const queueObjects = seenOf(plant, 'TaskQueue', namespaces)
    const poolObjects = seenOf(plant, 'WorkerPool', namespaces)
    const queues = await Promise.all(queueObjects.slice(0, MOST_ROWS).map((object) => looks.now(object)))
    const pools = poolObjects.slice(0, MOST_ROWS).map(poolOf)
    const others = queueObjects.slice(MOST_ROWS).map((object) => looks.declared(object))
    const problems = problemsIn(
      [...queues, ...others],
      [...pools, ...poolObjects.slice(MOST_ROWS).map(declaredPool)],
      seenOf(plant, 'Schedule', namespaces),
    )
    const totals = { totalQueues: queueObjects.length, totalPools: poolObjects.length }
    return { atMs: wallMs(), queues, pools, ...totals, problems }
  }

  /** Sends the newest snapshot at once, and the next ones when something has changed. */
  async watch(viewer: Viewer, namespaces: readonly string[]): Promise<void> {
    const key = namespaces.join(' ')
    const group = this.#groups.get(key) ?? {
      namespaces,
      viewers: new Set(),
      last: '',
      frame: undefined,
      sentAtMs: 0,
    }
    this.#groups.set(key, group)
    group.viewers.add(viewer)
    void viewer.closed.then(() => this.#leave(key, group, viewer))
    if (group.frame) viewer.sendState(group.frame)
    else await this.#show(group)
    this.#timer ??= setInterval(() => void this.#tick(), EVERY_MS)
  }

  close(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  #leave(key: string, group: Group, viewer: Viewer): void {
    group.viewers.delete(viewer)
    if (group.viewers.size === 0) this.#groups.delete(key)
    if (this.#groups.size === 0) this.close()
  }

  async #tick(): Promise<void> {
    if (this.#isTicking) return
    this.#isTicking = true
    try {
      for (const group of this.#groups.values()) await this.#show(group)
    } catch (error) {
      this.#options.log.error('cannot take a snapshot for the dashboard', { error })
    } finally {
      this.#isTicking = false
    }
  }

  async #show(group: Group): Promise<void> {
    const snapshot = await this.take(group.namespaces)
    const text = JSON.stringify(snapshot)
    const now = this.#options.nowMs()
    const withoutTimes = text.replaceAll(/"atMs":\d+/g, '')
    if (group.frame && withoutTimes === group.last && now - group.sentAtMs < LONGEST_SILENCE_MS) return
    group.last = withoutTimes
    group.sentAtMs = now
    group.frame = frameOf('snapshot', text, String(snapshot.atMs))
    for (const viewer of group.viewers) viewer.sendState(group.frame)
  }
}

/** Of these namespaces, by namespace and name. */
export function seenOf<K extends Kind>(plant: Plant, kind: K, namespaces: readonly string[]): ObjectOf[K][] {
  return [...plant.list(kind)]
    .filter(({ metadata }) => namespaces.includes(metadata.namespace ?? ''))
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1))
}

/** What problems are told from, without a look at its spec each second. */
function declaredPool({ metadata: { namespace = '', name }, status }: WorkerPoolObject) {
  return { namespace, name, conditions: conditionsOf(status?.conditions) }
}
