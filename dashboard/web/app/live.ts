// The numbers of all queues, as they are pushed. One tab of a browser listens to the server and tells the
// others: a browser opens only six connections to one server. Where nothing arrives, a proxy may be holding
// events back: then the snapshot is asked for.
import { computed, effect, signal } from '@preact/signals'
import type { Config, Me, Snapshot } from '../../src/api.ts'
import { ApiError, absolute, get } from './api.ts'
import { isLive } from './settings.ts'
import { oursMs, skewMs } from './time.ts'

export const snapshot = signal<Snapshot | undefined>(undefined)
export const me = signal<Me | undefined>(undefined)
export const config = signal<Config | undefined>(undefined)
/** Why there are no numbers, or no newer ones. */
export const trouble = signal<ApiError | undefined>(undefined)
export const isPolling = signal(false)
const receivedAtMs = signal(0)
const looks = signal(0)

const FIRST_WITHIN_MS = 5_000
const SILENCE_MS = 25_000
const POLL_EVERY_MS = 5_000
const CHANNEL = 'millhand-snapshots'

export type LiveState = 'connecting' | 'live' | 'polling' | 'paused' | 'stale'
export const liveState = computed<LiveState>(() => {
  void looks.value
  if (!isLive.value) return 'paused'
  if (!snapshot.value) return 'connecting'
  if (oursMs() - receivedAtMs.value > SILENCE_MS || trouble.value) return 'stale'
  return isPolling.value ? 'polling' : 'live'
})

/** Whether the user may do it in the namespace. Unknown is yes: the server decides anyway. */
export function may(permission: string, namespace: string): boolean {
  const known = me.value
  if (!known) return true
  if (known.isReadOnly && !/ (get|list)$/.test(permission)) return false
  return [...(known.can[namespace] ?? []), ...(known.can['*'] ?? [])].includes(permission)
}

/** Asks who we are, then follows. */
export async function begin(): Promise<void> {
  trouble.value = undefined
  try {
    const [who, what] = await Promise.all([get<Me>('me'), get<Config>('config')])
    me.value = who
    config.value = what
    skewMs.value = Math.abs(what.nowMs - oursMs()) > 2_000 ? what.nowMs - oursMs() : 0
    await poll()
  } catch (error) {
    trouble.value = asApiError(error)
  }
}

export function follow(): void {
  setInterval(() => {
    looks.value += 1
    if (document.hidden || !isLive.value) return
    if (!me.value) void begin()
    else if (isPolling.value || oursMs() - receivedAtMs.value > SILENCE_MS) void poll()
  }, POLL_EVERY_MS)
  addEventListener('visibilitychange', () => {
    if (!document.hidden && isLive.value && oursMs() - receivedAtMs.value > POLL_EVERY_MS) void poll()
  })
  const channel = new BroadcastChannel(CHANNEL)
  channel.addEventListener('message', (event) => {
    isPolling.value = false
    take(event.data as Snapshot)
  })
  const tellOthers = (seen: Snapshot) => channel.postMessage(seen)
  // Without a secure context there are no locks: then each tab listens for itself.
  if (navigator.locks) void navigator.locks.request(CHANNEL, () => listen(tellOthers))
  else void listen(tellOthers)
}

/** Never ends: the lock is this tab's until it is closed. */
function listen(tellOthers: (seen: Snapshot) => void): Promise<never> {
  let stream: EventSource | undefined
  const isWanted = signal(!document.hidden)
  addEventListener('visibilitychange', () => {
    isWanted.value = !document.hidden
  })
  effect(() => {
    stream?.close()
    stream = isWanted.value && isLive.value && me.value ? open(tellOthers) : undefined
  })
  return new Promise(() => {})
}

function open(tellOthers: (seen: Snapshot) => void): EventSource {
  const stream = new EventSource(absolute('stream'))
  const patience = setTimeout(() => {
    isPolling.value = true
  }, FIRST_WITHIN_MS)
  stream.addEventListener('snapshot', ({ data }: MessageEvent<string>) => {
    clearTimeout(patience)
    isPolling.value = false
    const seen = JSON.parse(data) as Snapshot
    take(seen)
    tellOthers(seen)
  })
  stream.addEventListener('end', () => {
    isPolling.value = true
  })
  stream.addEventListener('error', () => {
    isPolling.value = true
    if (stream.readyState === EventSource.CLOSED) void poll()
  })
  return stream
}

export async function poll(): Promise<void> {
  try {
    take(await get<Snapshot>('snapshot'))
  } catch (error) {
    trouble.value = asApiError(error)
  }
}

function take(seen: Snapshot): void {
  receivedAtMs.value = oursMs()
  trouble.value = undefined
  snapshot.value = seen
  const ahead = seen.atMs - oursMs()
  if (Math.abs(ahead - skewMs.peek()) > 2_000) skewMs.value = Math.abs(ahead) > 2_000 ? ahead : 0
}

const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError ? error : new ApiError(0, { code: 'FAILED', message: String(error) })
