// The world of the operator: what is watched in the cluster (caches.ts), and what is written there. Made anew each time this instance leads,
// so that nothing is remembered of an earlier time.
import type { WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import type { Fleet, News, Subject, World } from '@millhand/control/world'
import type { ClusterCaches } from './caches.ts'
import { KubeFleet, type WriteContext } from './fleet/kube-fleet.ts'
import { type Kube, kinds } from './kube/client.ts'
import type { Events } from './kube/events.ts'
import { type StatusContext, writeStatus } from './kube/status.ts'

export interface KubeWorldOptions extends Omit<WriteContext, 'kube'>, Omit<StatusContext, 'kube'> {
  kube: Kube
  caches: ClusterCaches
  events: Events
}

export class KubeWorld implements World {
  readonly #options: KubeWorldOptions
  readonly #fleets = new Map<string, { uid: string | undefined; fleet: Fleet }>()

  constructor(options: KubeWorldOptions) {
    this.#options = options
  }

  taskQueue(key: string) {
    return this.#options.caches.taskQueue(key)
  }

  hasTaskQueue(uid: string): boolean {
    return this.#options.caches.hasTaskQueue(uid)
  }

  workerPool(key: string) {
    return this.#options.caches.workerPool(key)
  }

  poolsServing(namespace: string, queue: string) {
    return this.#options.caches.poolsServing(namespace, queue)
  }

  fleet({ metadata: { namespace, name, uid } }: WorkerPoolObject): Fleet {
    const key = `${namespace}/${name}`
    const known = this.#fleets.get(key)
    if (known && known.uid === uid) return known.fleet
    const { caches } = this.#options
    const fleet = new KubeFleet({ ...this.#options, watched: caches })
    this.#fleets.set(key, { uid, fleet })
    return fleet
  }

  forgetFleet(key: string): void {
    this.#fleets.delete(key)
  }

  writeStatus({ kind, namespace, name }: Subject, status: object): Promise<boolean> {
    return writeStatus(OF_KIND[kind], { metadata: { namespace, name }, status }, this.#options)
  }

  tell({ kind, ...subject }: Subject, news: News): void {
    this.#options.events.tell({ kind: OF_KIND[kind], ...subject }, news)
  }
}

const OF_KIND = { TaskQueue: kinds.taskQueue, WorkerPool: kinds.workerPool }
