// The world of the operator: what is watched in the cluster (caches.ts), and what is written there. Made anew
// each time this instance leads, so that nothing is remembered of an earlier time.
import type { IndexOf, ObjectOf } from '@millhand/control/resources/object'
import type { Kind } from '@millhand/control/resources/schemas'
import type { WorkerPoolObject } from '@millhand/control/resources/worker-pool'
import type { Fleet, News, Subject, World } from '@millhand/control/world'
import type { ClusterCaches } from './caches.ts'
import { KubeFleet, type WriteContext } from './fleet/kube-fleet.ts'
import { type Kube, kinds } from './kube/client.ts'
import { isNotFound } from './kube/errors.ts'
import type { Events } from './kube/events.ts'
import type { KubeObject } from './kube/reflector.ts'
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

  get<K extends Kind>(kind: K, key: string): ObjectOf[K] | undefined {
    return this.#options.caches.get(kind, key)
  }

  find<K extends Kind>(kind: K, index: IndexOf[K], name: string): Iterable<ObjectOf[K]> {
    return this.#options.caches.find(kind, index, name)
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

  /** Unknown where there is no CRD of the kind: then it is not. */
  async isGone({ kind, namespace, name, uid }: Subject): Promise<boolean> {
    try {
      const found = await this.#options.kube.findOne<KubeObject>(kinds[kind], namespace, name)
      return found?.metadata.uid !== uid
    } catch (error) {
      if (isNotFound(error)) return false
      throw error
    }
  }

  writeStatus({ kind, namespace, name }: Subject, status: object): Promise<boolean> {
    return writeStatus(kinds[kind], { metadata: { namespace, name }, status }, this.#options)
  }

  tell({ kind, ...subject }: Subject, news: News): void {
    this.#options.events.tell({ kind: kinds[kind], ...subject }, news)
  }
}
