// Events for people (kubectl describe, kubectl events). An Event is written when something turns, never
// waited for, not repeated within ten minutes, and limited for each object, because each is a write to etcd.
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
  /** The pod of the operator that reports. */
  instance: string
  log: Log
  /** The wall clock, for the time in the Event. */
  nowMs: () => number
}

const REPEAT_AFTER_MS = 600_000
/** A token bucket for each object: so many at once, and then one per interval. */
const BURST = 25
const ONE_EVERY_MS = 30_000
/** The bound of events.k8s.io, in bytes of UTF-8. */
const MAX_NOTE_BYTES = 1_024
const ELLIPSIS = '…'

export class Events {
  readonly #options: EventsOptions
  readonly #told = new Map<string, number>()
  /** By UID: when the tokens of the written Events are regained; in the order of the last Events. */
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
