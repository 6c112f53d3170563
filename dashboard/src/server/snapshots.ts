// Snapshots of all queues and pools: taken when somebody asks, and each second while somebody watches.
// Viewers who may see the same namespaces get the same bytes. The first queues by name are looked at for each
// snapshot, those behind them in turn: the work of one stays the same for any number of queues.
import type { ObjectOf } from '@millhand/control/resources/object'
import type { Kind } from '@millhand/control/resources/schemas'
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import type { WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import type { Log } from 'millhand/queue'
import { MOST_ROWS, MOST_WORST, type QueueNow, type Snapshot } from '../api.ts'
import { keyOf, type Looks } from './looks.ts'
import { conditionsOf, poolOf, sumsOf } from './numbers.ts'
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
/** Of the queues behind the first ones, for one snapshot. */
const LOOKS_BEHIND = 100
const BEHIND_FRESH_MS = 5_000
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
    const [first, others] = [queueObjects.slice(0, MOST_ROWS), queueObjects.slice(MOST_ROWS)]
    const look = (objects: readonly TaskQueueObject[]) => Promise.all(objects.map((each) => looks.now(each)))
    const [queues] = await Promise.all([look(first), look(this.#longestUnseen(others))])
    const known = others.map((object) => looks.known(object))
    const all = [...queues, ...known]
    const pools = poolObjects.slice(0, MOST_ROWS).map(poolOf)
    const problems = problemsIn(
      all,
      [...pools, ...poolObjects.slice(MOST_ROWS).map(declaredPool)],
      seenOf(plant, 'Schedule', namespaces),
    )
    const totals = { totalQueues: queueObjects.length, totalPools: poolObjects.length }
    const behind = worstOf(known)
    return { atMs: wallMs(), queues, pools, behind, sums: sumsOf(all), ...totals, problems }
  }

  #longestUnseen(objects: readonly TaskQueueObject[]): TaskQueueObject[] {
    const { looks, nowMs } = this.#options
    const seenBefore = nowMs() - BEHIND_FRESH_MS
    return objects
      .map((object) => ({ object, atMs: looks.lookedAtMs(object) }))
      .filter(({ atMs }) => atMs <= seenBefore)
      .sort((a, b) => (a.atMs === b.atMs ? 0 : a.atMs - b.atMs))
      .slice(0, LOOKS_BEHIND)
      .map(({ object }) => object)
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

function worstOf(queues: readonly QueueNow[]): QueueNow[] {
  const since = ({ numbers, atMs = 0 }: QueueNow) => atMs - (numbers?.oldestReadyMs ?? 0)
  return queues
    .filter(({ numbers }) => numbers?.oldestReadyMs !== undefined)
    .sort((a, b) => since(a) - since(b))
    .slice(0, MOST_WORST)
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
