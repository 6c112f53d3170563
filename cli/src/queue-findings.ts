// Findings about a queue, judged by its numbers and its workers. Pure; for millhand doctor.
import type { Finding, Severity } from 'millhand/doctor'
import {
  type Depth,
  defaultSettings,
  type Owner,
  ownerText,
  type QueueRefused,
  type WorkerEntry,
} from 'millhand/queue'
import { counted, durationText } from './units.ts'

export interface QueueFacts {
  /** The name of its TaskQueue. */
  name: string
  namespace: string
  /** The option for commands about this queue: '' or ' --namespace shop'. */
  option: string
  depth: Depth
  workers: readonly WorkerEntry[]
  /** The setting in Redis; absent where the queue was never declared. */
  maxLength?: number
  /** Its owner; absent where it was never declared. */
  owner?: Owner
  /** How long ago the last job was buried. */
  lastBuriedMs?: number
  /** How long ago Redis was last found to have lost enqueues. */
  lastVanishedMs?: number
}

/** A pod needs time to start. */
const STARTING_MS = 60_000
const LONG_MS = 600_000
const LATELY_MS = 3_600_000
const DAY_MS = 24 * LATELY_MS

/** The only finding about a queue with another layout: nothing else can be read. */
export function layoutFinding({ code, message }: QueueRefused): Finding {
  const remedy =
    code === 'NEWER_LAYOUT'
      ? 'upgrade this millhand, and clients, workers or an operator that are as old (docs/redis.md, "Upgrading")'
      : 'keep workers of the older release until the queue is empty (docs/redis.md, "Upgrading")'
  return { check: 'Layout', severity: 'problem', message, remedy }
}

export function queueFindings(facts: QueueFacts): Finding[] {
  const found = [
    paused(facts),
    suspended(facts),
    resting(facts),
    waiting(facts),
    blocked(facts),
    silent(facts),
    full(facts),
    buried(facts),
    vanished(facts),
    owned(facts),
  ]
  return found.filter((each) => each !== undefined)
}

function paused({ depth, name, option }: QueueFacts): Finding | undefined {
  if (!depth.paused) return undefined
  return {
    check: 'Paused',
    ...stopped(depth, 'a person paused the queue'),
    remedy: `millhand resume ${name}${option}`,
  }
}

function suspended({ depth, name, namespace }: QueueFacts): Finding | undefined {
  if (!depth.suspended) return undefined
  return {
    check: 'Suspended',
    ...stopped(depth, 'spec.suspend of the TaskQueue is true'),
    remedy: `kubectl -n ${namespace} patch taskqueue ${name} --type merge -p '{"spec":{"suspend":false}}'; or where it is declared`,
  }
}

function resting({ depth, name, option }: QueueFacts): Finding | undefined {
  if (depth.restsMs === undefined) return undefined
  return {
    check: 'Resting',
    ...stopped(
      depth,
      `a task asked for a rest of the queue (RetryAfter), for ${durationText(depth.restsMs)} more`,
    ),
    remedy: `it passes by itself; at once: millhand resume ${name}${option}`,
  }
}

function stopped(depth: Depth, why: string): { severity: Severity; message: string } {
  return depth.ready > 0
    ? { severity: 'warning', message: `${why}, and ${jobsWait(depth)}` }
    : { severity: 'note', message: why }
}

function waiting(facts: QueueFacts): Finding | undefined {
  const { depth, workers, name, namespace, option } = facts
  const { ready, paused, suspended, restsMs, oldestReadyMs: waitedMs = 0, busy, maxBusy } = depth
  if (ready === 0 || paused || suspended || restsMs !== undefined) return undefined
  const live = workers.filter(({ alive }) => alive)
  const why = `kubectl -n ${namespace} describe workerpools`
  if (live.length === 0)
    return {
      check: 'Workers',
      severity: waitedMs < STARTING_MS ? 'note' : 'problem',
      message: `${jobsWait(depth)}, and no worker runs`,
      remedy: `in Kubernetes, ${why} says why; elsewhere start one: millhand worker FILE --queue ${name}${option}`,
    }
  if (live.every(({ draining }) => draining))
    return {
      check: 'Workers',
      severity: 'warning',
      message: `${jobsWait(depth)}, and every worker (${live.length}) is stopping`,
      remedy: `others should start soon; if not, ${why} says why`,
    }
  if (waitedMs < LONG_MS) return undefined
  if (maxBusy !== undefined && busy >= maxBusy)
    return {
      check: 'Waiting',
      severity: 'warning',
      message: `${jobsWait(depth)}, because limits.maxBusy of the TaskQueue lets no more than ${maxBusy} run at once`,
      remedy: `if more may run: kubectl -n ${namespace} edit taskqueue ${name}`,
    }
  const slots = live.reduce((sum, worker) => sum + worker.slots, 0)
  return {
    check: 'Waiting',
    severity: 'warning',
    message: `${jobsWait(depth)}; ${counted(live.length, 'worker')} with ${counted(slots, 'slot')} run ${busy} of this queue`,
    remedy: `what they do: millhand jobs ${name} state:held${option}; for more workers, spec.scaling.maxReplicas: ${why}`,
  }
}

function blocked({ depth, name, option }: QueueFacts): Finding | undefined {
  if (depth.blocked === 0) return undefined
  return {
    check: 'Blocked',
    severity: 'note',
    message: `${counted(depth.blocked, 'ready job')} held back by limits of their keys (limits.perKey, or millhand limit)`,
    remedy: `what holds a key back: millhand limit ${name} --key KEY${option}`,
  }
}

function silent({ workers, name, option }: QueueFacts): Finding | undefined {
  const gone = workers.filter(({ alive }) => !alive)
  if (gone.length === 0) return undefined
  const held = gone.reduce((sum, worker) => sum + worker.held, 0)
  const who = gone
    .slice(0, 3)
    .map(({ pod, name: worker }) => pod || worker)
    .join(', ')
  const names = gone.length > 3 ? `${who} and ${gone.length - 3} more` : who
  const text = `${counted(gone.length, 'worker')} ended or hung (${names}), with ${counted(held, 'job')}`
  if (gone.length < workers.length)
    return {
      check: 'Silent',
      severity: held > 0 ? 'warning' : 'note',
      message: `${text}; the others take this over within seconds`,
      remedy: `look again in a moment: millhand workers ${name}${option}`,
    }
  return {
    check: 'Silent',
    severity: held > 0 ? 'problem' : 'note',
    message: `${text}, and no other worker is there to take over`,
    remedy: `any worker of this queue does, so start one: millhand worker FILE --queue ${name}${option}`,
  }
}

function full({
  depth,
  maxLength = defaultSettings.maxLength,
  name,
  namespace,
}: QueueFacts): Finding | undefined {
  const jobs = depth.ready + depth.delayed
  if (jobs < 0.8 * maxLength) return undefined
  const isNear = jobs < 0.95 * maxLength
  return {
    check: 'Length',
    severity: isNear ? 'warning' : 'problem',
    message: `${counted(jobs, 'job')} wait, and at ${maxLength} no more can be enqueued`,
    remedy: `add workers, or allow more: kubectl -n ${namespace} edit taskqueue ${name} (spec.limits.maxLength)`,
  }
}

function buried({ depth, lastBuriedMs, name, option }: QueueFacts): Finding | undefined {
  if (depth.buried === 0) return undefined
  const last = lastBuriedMs === undefined ? '' : `, the last of them ${durationText(lastBuriedMs)} ago`
  return {
    check: 'Buried',
    severity: lastBuriedMs !== undefined && lastBuriedMs < LATELY_MS ? 'warning' : 'note',
    message: `${counted(depth.buried, 'job')} failed for good and ${depth.buried === 1 ? 'is' : 'are'} kept (buried)${last}`,
    remedy: `see why: millhand jobs ${name} state:buried${option}, millhand job ${name} ID${option}; once that is fixed: millhand retry ${name} --all${option}`,
  }
}

/** The counter never falls; after a day it is no finding. */
function vanished({ depth, lastVanishedMs = Number.POSITIVE_INFINITY }: QueueFacts): Finding | undefined {
  const { vanished: lost } = depth.counts
  if (lost === 0) return undefined
  const when = Number.isFinite(lastVanishedMs) ? `, found ${durationText(lastVanishedMs)} ago` : ''
  return {
    check: 'Lost',
    severity: lastVanishedMs < DAY_MS ? 'problem' : 'note',
    message: `this Redis went back to an earlier state and lost at least ${counted(lost, 'enqueue')} that it had acknowledged${when}`,
    remedy:
      'enqueue again what was enqueued then: an id that is known is not enqueued twice; so that it is refused instead of lost: durability replicated (or fsync) on enqueue',
  }
}

/** Tells a refused owner who has declared the queue. */
function owned({ owner }: QueueFacts): Finding | undefined {
  return owner && { check: 'Owner', severity: 'ok', message: `declared by ${ownerText(owner)}` }
}

function jobsWait({ ready, oldestReadyMs }: Depth): string {
  const since = oldestReadyMs === undefined ? '' : `, the oldest for ${durationText(oldestReadyMs)}`
  return `${counted(ready, 'job')} ${ready === 1 ? 'waits' : 'wait'}${since}`
}
