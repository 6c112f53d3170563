// The calls to the API server: lists, watches, server-side apply, Events and the lease. main.ts connects;
// reconciles get the client.

import type { Fence } from '@millhand/control/engine/fence'
import { API_VERSION, KINDS, type Kind } from '@millhand/control/resources/schemas'
import { isNotFound } from './errors.ts'
import type { Lease, LeaseSpec, LeaseStore } from './leader.ts'
import type { KubeObject, ListWatch, WatchEvent } from './reflector.ts'
import { type Answered, Rest } from './rest.ts'

export interface ResourceKind {
  /** Empty: the core group. */
  group: string
  version: string
  plural: string
  kind: string
}

const apps = { group: 'apps', version: 'v1' }
const core = { group: '', version: 'v1' }
const authentication = { group: 'authentication.k8s.io', version: 'v1' }
const authorization = { group: 'authorization.k8s.io', version: 'v1' }

const [group = '', version = ''] = API_VERSION.split('/')
const ours = Object.fromEntries(
  KINDS.map((kind) => [kind, { group, version, plural: `${kind.toLowerCase()}s`, kind }]),
) as Record<Kind, ResourceKind>

export const kinds = {
  ...ours,
  deployment: { ...apps, plural: 'deployments', kind: 'Deployment' },
  pod: { ...core, plural: 'pods', kind: 'Pod' },
  secret: { ...core, plural: 'secrets', kind: 'Secret' },
  event: { group: 'events.k8s.io', version: 'v1', plural: 'events', kind: 'Event' },
  lease: { group: 'coordination.k8s.io', version: 'v1', plural: 'leases', kind: 'Lease' },
  tokenReview: { ...authentication, plural: 'tokenreviews', kind: 'TokenReview' },
  subjectAccessReview: { ...authorization, plural: 'subjectaccessreviews', kind: 'SubjectAccessReview' },
} satisfies Record<string, ResourceKind>

export interface KubeOptions {
  /** A file; else KUBECONFIG, ~/.kube/config, or the service account of the pod. */
  kubeconfig?: string | undefined
  fieldManager?: string
  onRequest?: (answered: Answered) => void
  /** Before each write but those of the lease. */
  fence?: Fence
  /** Deadline of each call; a page of a list has three times as long. */
  deadlineMs?: number
}

/** What apply sends: apiVersion and kind are filled in. */
export interface Applied {
  metadata: { name: string; namespace: string } & Record<string, unknown>
}

/** Of events.k8s.io. */
export interface KubeEvent {
  metadata: { namespace: string } & ({ name: string } | { generateName: string })
  type: 'Normal' | 'Warning'
  reason: string
  /** At most 1,024 bytes. */
  note: string
  action: string
  /** In ISO 8601; now when absent. */
  eventTime?: string
  regarding: ObjectReference
  reportingController: string
  reportingInstance: string
}

export interface ObjectReference {
  apiVersion: string
  kind: string
  name: string
  namespace: string
  uid?: string
  resourceVersion?: string
}

/** Every call fails with a KubeError, or with the reason of the signal it was given. */
export interface Kube {
  /** `host:port` of the API server. */
  readonly server: string
  listWatch<T extends KubeObject>(
    kind: ResourceKind,
    where?: { namespace?: string; labelSelector?: string },
  ): ListWatch<T>
  /** Uses a list of one: the role has list and not get. */
  findOne<T>(kind: ResourceKind, namespace: string, name: string): Promise<T | undefined>
  get<T>(kind: ResourceKind, namespace: string, name: string): Promise<T | undefined>
  /** Server-side apply. `force`: takes fields over from other managers; `status`: the status only. */
  apply<T>(kind: ResourceKind, object: Applied, options?: { force?: boolean; status?: boolean }): Promise<T>
  mergePatch<T>(kind: ResourceKind, namespace: string, name: string, patch: object): Promise<T>
  createEvent(event: KubeEvent): Promise<void>
  /** The status of a TokenReview or SubjectAccessReview. */
  review<T>(kind: ResourceKind, spec: object): Promise<T>
  leases(namespace: string, name: string): LeaseStore
  /** Ends the connections that are kept. */
  close(): void
}

/** Two calls fit into a renew deadline. */
const LEASE_DEADLINE_MS = 4_500

export function connectKube({
  kubeconfig,
  fieldManager = 'millhand',
  onRequest,
  fence,
  deadlineMs = 10_000,
}: KubeOptions = {}): Kube {
  return new KubeClient(new Rest({ kubeconfig, onRequest, fence }), fieldManager, deadlineMs)
}

class KubeClient implements Kube {
  readonly #rest: Rest
  readonly #fieldManager: string
  readonly #deadlineMs: number

  constructor(rest: Rest, fieldManager: string, deadlineMs: number) {
    this.#rest = rest
    this.#fieldManager = fieldManager
    this.#deadlineMs = deadlineMs
  }

  get server(): string {
    return this.#rest.server
  }

  listWatch: Kube['listWatch'] = <T extends KubeObject>(
    kind: ResourceKind,
    { namespace, labelSelector }: { namespace?: string; labelSelector?: string } = {},
  ): ListWatch<T> => {
    const path = pathOf(kind, namespace)
    return {
      list: async ({ limit, continueToken, signal }) => {
        const query = { limit: limit || undefined, continue: continueToken, labelSelector }
        const deadlineMs = 3 * this.#deadlineMs
        const list = await this.#rest.send({ verb: 'list', method: 'GET', path, query, deadlineMs, signal })
        const { items, metadata } = list as ObjectList<T>
        const next = metadata.continue
        return { items, resourceVersion: metadata.resourceVersion, ...(next && { continueToken: next }) }
      },
      watch: ({ resourceVersion, timeoutSeconds, signal }) => {
        const options = { watch: true, allowWatchBookmarks: true, resourceVersion, timeoutSeconds }
        const query = { ...options, labelSelector }
        const call = {
          verb: 'watch',
          method: 'GET',
          path,
          query,
          deadlineMs: this.#deadlineMs,
          signal,
        } as const
        return this.#rest.stream(call) as AsyncIterable<WatchEvent<T>>
      },
    }
  }

  async findOne<T>(kind: ResourceKind, namespace: string, name: string): Promise<T | undefined> {
    const query = { fieldSelector: `metadata.name=${name}` }
    const path = pathOf(kind, namespace)
    const list = await this.#rest.send({
      verb: 'list',
      method: 'GET',
      path,
      query,
      deadlineMs: this.#deadlineMs,
    })
    return (list as { items: T[] }).items[0]
  }

  async get<T>(kind: ResourceKind, namespace: string, name: string): Promise<T | undefined> {
    const path = pathOf(kind, namespace, name)
    return this.#rest
      .send({ verb: 'get', method: 'GET', path, deadlineMs: this.#deadlineMs })
      .then((object) => object as T, absentWhenNotFound)
  }

  async apply<T>(kind: ResourceKind, object: Applied, { force = false, status = false } = {}): Promise<T> {
    const { namespace, name } = object.metadata
    const applied = await this.#rest.send({
      verb: 'apply',
      method: 'PATCH',
      path: `${pathOf(kind, namespace, name)}${status ? '/status' : ''}`,
      query: { fieldManager: this.#fieldManager, force },
      contentType: 'application/apply-patch+yaml',
      body: { apiVersion: apiVersionOf(kind), kind: kind.kind, ...object },
      deadlineMs: this.#deadlineMs,
    })
    return applied as T
  }

  async mergePatch<T>(kind: ResourceKind, namespace: string, name: string, patch: object): Promise<T> {
    const patched = await this.#rest.send({
      verb: 'patch',
      method: 'PATCH',
      path: pathOf(kind, namespace, name),
      query: { fieldManager: this.#fieldManager },
      contentType: 'application/merge-patch+json',
      body: patch,
      deadlineMs: this.#deadlineMs,
    })
    return patched as T
  }

  async createEvent(event: KubeEvent): Promise<void> {
    const { kind } = kinds.event
    const eventTime = microTime(event.eventTime ?? new Date().toISOString())
    await this.#rest.send({
      verb: 'create',
      method: 'POST',
      path: pathOf(kinds.event, event.metadata.namespace),
      query: { fieldManager: this.#fieldManager },
      body: { apiVersion: apiVersionOf(kinds.event), kind, ...event, eventTime },
      deadlineMs: this.#deadlineMs,
    })
  }

  async review<T>(kind: ResourceKind, spec: object): Promise<T> {
    const path = pathOf(kind)
    const body = { apiVersion: apiVersionOf(kind), kind: kind.kind, spec }
    const call = { verb: 'create', method: 'POST', path, body, isUnfenced: true } as const
    return ((await this.#rest.send({ ...call, deadlineMs: this.#deadlineMs })) as { status: T }).status
  }

  leases(namespace: string, name: string): LeaseStore {
    const rest = this.#rest
    const deadlineMs = Math.min(LEASE_DEADLINE_MS, this.#deadlineMs)
    const path = pathOf(kinds.lease, namespace, name)
    /** Labels and the like, which an update has to send back. */
    let metadata: object = { namespace, name }
    const seen = (answer: unknown): Lease => {
      const object = answer as LeaseObject
      metadata = object.metadata
      return leaseOf(object)
    }
    const query = { fieldManager: this.#fieldManager }
    return {
      read: () => rest.send({ verb: 'get', method: 'GET', path, deadlineMs }).then(seen, absentWhenNotFound),
      create: async (lease) => {
        const body = leaseObject({ namespace, name }, lease)
        const call = { verb: 'create', method: 'POST', path: pathOf(kinds.lease, namespace) } as const
        return seen(await rest.send({ ...call, query, body, deadlineMs, isUnfenced: true }))
      },
      update: async (lease) => {
        const body = leaseObject({ ...metadata, resourceVersion: lease.resourceVersion }, lease)
        const call = { verb: 'update', method: 'PUT', path } as const
        return seen(await rest.send({ ...call, query, body, deadlineMs, isUnfenced: true }))
      },
    }
  }

  close(): void {
    this.#rest.close()
  }
}

interface ObjectList<T> {
  items: T[]
  metadata: { resourceVersion: string; continue?: string }
}

interface LeaseObject {
  metadata: { resourceVersion: string }
  spec?: {
    holderIdentity?: string
    leaseDurationSeconds?: number
    leaseTransitions?: number
    acquireTime?: string
    renewTime?: string
  }
}

function leaseOf({ metadata: { resourceVersion }, spec = {} }: LeaseObject): Lease {
  return {
    resourceVersion,
    holder: spec.holderIdentity ?? '',
    durationSeconds: spec.leaseDurationSeconds ?? 0,
    transitions: spec.leaseTransitions ?? 0,
    acquireTime: spec.acquireTime ?? '',
    renewTime: spec.renewTime ?? '',
  }
}

function leaseObject(metadata: object, lease: LeaseSpec): object {
  const { holder, durationSeconds, transitions, acquireTime, renewTime } = lease
  return {
    apiVersion: apiVersionOf(kinds.lease),
    kind: kinds.lease.kind,
    metadata,
    spec: {
      holderIdentity: holder,
      leaseDurationSeconds: durationSeconds,
      leaseTransitions: transitions,
      ...(acquireTime && { acquireTime: microTime(acquireTime) }),
      ...(renewTime && { renewTime: microTime(renewTime) }),
    },
  }
}

/** The API server wants exactly six digits of a second, for a Lease and an Event. */
function microTime(time: string): string {
  const [, seconds = '', digits = ''] = /^([^.]*?)(?:\.(\d+))?Z$/.exec(time) ?? []
  if (!seconds) throw new Error(`${time} is not a time in UTC`)
  return `${seconds}.${digits.slice(0, 6).padEnd(6, '0')}Z`
}

function apiVersionOf({ group, version }: ResourceKind): string {
  return group ? `${group}/${version}` : version
}

function pathOf(kind: ResourceKind, namespace?: string, name?: string): string {
  const root = kind.group ? `/apis/${kind.group}` : '/api'
  const within = namespace ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  const one = name ? `/${encodeURIComponent(name)}` : ''
  return `${root}/${kind.version}${within}/${kind.plural}${one}`
}

function absentWhenNotFound(error: unknown): undefined {
  if (isNotFound(error)) return undefined
  throw error
}
