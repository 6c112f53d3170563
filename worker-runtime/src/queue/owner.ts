// The verbs of the owner of a queue, the operator or `millhand up`: settings, the name, and workers that are
// to stop.
import { amountOf, isDone, listOf, oneOf, textOf } from './answers.ts'
import { limitsText } from './limit-text.ts'
import { countersOf } from './registration.ts'
import type { QueueSettings } from './settings.ts'
import type { Seen, Verbs } from './verbs.ts'

export interface Owner {
  readonly uid: string
  readonly name: string
}

/** For people: never a part of a command. */
export function ownerText({ uid, name }: Owner): string {
  if (name !== '') return `"${name.replaceAll(/\s+/g, ' ').slice(0, 200)}"`
  return /^[0-9a-f-]{36}$/.test(uid) ? `the owner with the UID ${uid}` : 'an owner without a name'
}

async function configure(verbs: Verbs, settings: QueueSettings): Promise<'configured' | 'name-taken'> {
  const {
    ownerUid = '',
    owner = '',
    maxBusy,
    expiresInMs,
    escalateTo,
    rate,
    perKey = {},
    suspended,
    ...numbers
  } = settings
  const pairs = Object.entries(numbers).flat()
  const limits = ['queueLimits', limitsText({ rate }), 'keyLimits', limitsText(perKey)]
  const ofAll = [
    'declaredMaxBusy',
    maxBusy ?? '',
    'expiresInMs',
    expiresInMs ?? '',
    'escalateTo',
    escalateTo ?? '',
    'suspended',
    suspended ? 1 : 0,
    'owner',
    owner,
  ]
  const args = [ownerUid, ...pairs, ...limits, ...ofAll]
  return verbs.write('configure', args, (answer) => oneOf(answer, 'a queue', ['configured', 'name-taken']))
}

/** Gives the name back; jobs and settings stay. Answers the owner then: '' for none. */
async function release(verbs: Verbs, ownerUid: string): Promise<string> {
  return verbs.write('release', [ownerUid], (answer) => textOf(answer, 'config.ownerUid'))
}

/**
 * The owner that declared it; undefined where the name is free. Both texts come from that owner: do not trust
 * them.
 */
async function owner(verbs: Verbs): Promise<Owner | undefined> {
  const answer = await verbs.redis.call('HMGET', verbs.key('config'), 'ownerUid', 'owner')
  const [uid = '', name = ''] = listOf(answer, 'owner').map((text) => textOf(text ?? '', 'owner'))
  return uid === '' ? undefined : { uid, name }
}

/** Workers of these pods claim nothing for so long. */
async function drain(verbs: Verbs, podUids: readonly string[], forMs: number): Promise<void> {
  await verbs.write('drain', [forMs, ...podUids], isDone)
}

async function undrain(verbs: Verbs, podUids: readonly string[]): Promise<void> {
  await verbs.write('drain', ['0', ...podUids], isDone)
}

/**
 * Its pod has no time left: it hands back what it holds and ends. Drain the pod first. Answers whether
 * somebody heard it.
 */
async function dismiss(verbs: Verbs, worker: string): Promise<boolean> {
  return (await verbs.write('dismiss', [worker], (answer) => amountOf(answer, 'who heard it'))) > 0
}

/**
 * For who neither enqueues nor renews: what Redis took since it had these counters, and has no more, is
 * counted as vanished.
 */
async function witness(verbs: Verbs, { enqueued, claimed }: Seen): Promise<void> {
  await verbs.write('witness', [enqueued, claimed], countersOf)
}

export const owning = { configure, release, owner, drain, undrain, dismiss, witness }
