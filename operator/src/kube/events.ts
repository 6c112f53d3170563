// Events for people (kubectl describe, kubectl events): told when something turns, never waited for, and not twice in ten minutes.
import { randomBytes } from 'node:crypto'
import type { Log } from 'millhand/queue'
import type { Kube, KubeEvent, ResourceKind } from './client.ts'

export interface EventSubject {
  kind: ResourceKind
  namespace: string
  name: string
  uid: string
}

export interface News {
  type: 'Normal' | 'Warning'
  reason: string
  message: string
}

export interface EventsOptions {
  kube: Pick<Kube, 'createEvent'>
  /** Who says it: the pod of the operator. */
  instance: string
  log: Log
  /** Of the wall clock: it stands in the Event. */
  nowMs: () => number
}

const REPEAT_AFTER_MS = 600_000
/** The bound of events.k8s.io is 1,024 bytes. */
const MAX_NOTE = 1_000

export class Events {
  readonly #options: EventsOptions
  readonly #told = new Map<string, number>()

  constructor(options: EventsOptions) {
    this.#options = options
  }

  tell({ kind, namespace, name, uid }: EventSubject, { type, reason, message }: News): void {
    const { kube, instance, log, nowMs } = this.#options
    const now = nowMs()
    if (!this.#isNew(`${uid} ${reason} ${message}`, now)) return
    const event: KubeEvent = {
      metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
      eventTime: new Date(now).toISOString(),
      regarding: { apiVersion: `${kind.group}/${kind.version}`, kind: kind.kind, namespace, name, uid },
      reportingController: 'millhand.dev/operator',
      reportingInstance: instance,
      action: 'Reconcile',
      type,
      reason,
      note: message.length > MAX_NOTE ? `${message.slice(0, MAX_NOTE - 3)}...` : message,
    }
    kube
      .createEvent(event)
      .catch((error: unknown) => log.debug('could not write an event', { namespace, name, reason, error }))
  }

  #isNew(key: string, now: number): boolean {
    for (const [old, atMs] of this.#told) {
      if (now - atMs < REPEAT_AFTER_MS) break
      this.#told.delete(old)
    }
    if (this.#told.has(key)) return false
    this.#told.set(key, now)
    return true
  }
}
