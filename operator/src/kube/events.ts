// Events for people (kubectl describe, kubectl events): told when something turns, never waited for, not twice in ten minutes, and of one
// object no more than a person reads: each is a write to the API server and to its store.
import { randomBytes } from 'node:crypto'
import type { News } from '@millhand/control/world'
import type { Log } from 'millhand/queue'
import type { Kube, KubeEvent, ResourceKind } from './client.ts'

export interface EventSubject {
  kind: ResourceKind
  namespace: string
  name: string
  uid: string
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
/** Of one object: so many at once, and then one for each of these times. */
const BURST = 25
const ONE_EVERY_MS = 30_000
/** The bound of events.k8s.io, in bytes of UTF-8. */
const MAX_NOTE_BYTES = 1_024
const ELLIPSIS = '…'

export class Events {
  readonly #options: EventsOptions
  readonly #told = new Map<string, number>()
  /** By UID: when as many as were told would be paid off; the oldest tellings first. */
  readonly #paidAtMs = new Map<string, number>()

  constructor(options: EventsOptions) {
    this.#options = options
  }

  tell({ kind, namespace, name, uid }: EventSubject, { type, reason, message }: News): void {
    const { kube, instance, log, nowMs } = this.#options
    const now = nowMs()
    if (!this.#isNew(`${uid} ${reason} ${message}`, now) || !this.#hasRoom(uid, now)) return
    const event: KubeEvent = {
      metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
      eventTime: new Date(now).toISOString(),
      regarding: { apiVersion: `${kind.group}/${kind.version}`, kind: kind.kind, namespace, name, uid },
      reportingController: 'millhand.dev/operator',
      reportingInstance: instance,
      action: 'Reconcile',
      type,
      reason,
      note: noteOf(message),
    }
    kube
      .createEvent(event)
      .catch((error: unknown) => log.debug('could not write an event', { namespace, name, reason, error }))
  }

  #hasRoom(uid: string, now: number): boolean {
    for (const [old, atMs] of this.#paidAtMs) {
      if (atMs > now) break
      this.#paidAtMs.delete(old)
    }
    const paidAtMs = Math.max(now, this.#paidAtMs.get(uid) ?? 0) + ONE_EVERY_MS
    if (paidAtMs - now > BURST * ONE_EVERY_MS) return false
    this.#paidAtMs.delete(uid)
    this.#paidAtMs.set(uid, paidAtMs)
    return true
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

/** Cut between two code points. */
function noteOf(message: string): string {
  if (Buffer.byteLength(message) <= MAX_NOTE_BYTES) return message
  const room = new Uint8Array(MAX_NOTE_BYTES - Buffer.byteLength(ELLIPSIS))
  const { written } = new TextEncoder().encodeInto(message, room)
  return new TextDecoder().decode(room.subarray(0, written)) + ELLIPSIS
}
