// Recounts a queue from its keys alone, as a stranger would, and names everything that contradicts the layout: an id in two places or in none, a
// counter that is wrong, a time to live where none may be, a key that belongs to nothing. Invariants I3 and I4.
import { type Connection, prefixOf } from 'millhand/queue'
import { problemsOfFlows } from './census-of-flows.ts'

const REMEMBERED = 1
const UNIQUE = 8
const EXPIRES = 16

export interface Census {
  /** Where each id is: ready, delayed, held, buried, completed, cancelled. */
  states: Map<string, string>
  problems: string[]
}

export async function census(redis: Connection, queue: string): Promise<Census> {
  const prefix = prefixOf(queue)
  const names = (await keysOf(redis, prefix)).map((key) => key.slice(prefix.length))
  const places = new Map<string, string[]>()
  const problems: string[] = []
  const put = (id: string, place: string) => places.set(id, [...(places.get(id) ?? []), place])
  const list = async (command: string, name: string, ...args: (string | number)[]) =>
    (await redis.call(command, prefix + name, ...args)) as string[]
  const counts = recordOf(await list('HGETALL', 'counts'))
  const workers = new Set(await list('ZRANGE', 'workers', 0, -1))
  const lanes = new Set(await list('ZRANGE', 'lanes', 0, -1))

  const blocked = new Set(await list('ZRANGE', 'blocked', 0, -1))
  const ofKeys: string[] = []
  const uniqueHeld: string[] = []
  let held = 0
  for (const name of names) {
    if (name.startsWith('ready:')) {
      for (const id of await list('LRANGE', name, 0, -1)) put(id, 'ready')
      const lane = name.slice(6)
      if (lanes.has(lane) === blocked.has(lane)) problems.push(`lane ${name} has jobs but is not in lanes`)
    }
    if (name.startsWith('held:')) {
      const entries = recordOf(await list('HGETALL', name))
      held += Object.keys(entries).length
      for (const [id, entry] of Object.entries(entries)) {
        put(id, 'held')
        const [, token, letter = '0', key] = /^(\d+):\d+:\d+:(.):\w+(?:\/(\S+))?$/.exec(entry) ?? []
        if ((letter.charCodeAt(0) - 48) & UNIQUE) uniqueHeld.push(id)
        if (key !== undefined) ofKeys.push(`${key} ${token} ${id}`)
      }
      if (!workers.has(name.slice(5))) problems.push(`${name} belongs to no worker`)
    }
    if (name.startsWith('worker:') && !workers.has(name.slice(7))) problems.push(`${name} is not in workers`)
  }
  for (const id of await list('ZRANGE', 'delayed', 0, -1)) put(id, 'delayed')
  const buried = await list('ZRANGE', 'buried', 0, -1)
  for (const id of buried) put(id, 'buried')

  const states = new Map<string, string>()
  const tagged = new Map<string, string[]>()
  const tombstones = recordOf(await list('HGETALL', 'tombstones'))
  for (const [id, lane] of Object.entries(tombstones))
    if (!(await list('LRANGE', `ready:${lane}`, 0, -1)).includes(id))
      problems.push(`the tombstone of ${id} is not in ${lane}`)
  for (const name of names.filter((each) => each.startsWith('job:'))) {
    const id = name.slice(4)
    const text = String(await redis.call('GET', prefix + name))
    const ttl = Number(await redis.call('PTTL', prefix + name))
    const where = places.get(id) ?? []
    if (!text.startsWith('2')) {
      const isTombstone = where.length === 1 && where[0] === 'ready' && id in tombstones
      if (where.length > 0 && !isTombstone) problems.push(`${id} has ended but is in ${where}`)
      if (ttl < 0) problems.push(`${id} has ended but has no time to live`)
      const ended = { c: 'completed', x: 'cancelled', e: 'expired' }[text[1] ?? '']
      states.set(id, ended ?? 'unreadable')
    } else {
      if (id in tombstones) problems.push(`${id} lives and has a tombstone`)
      if (where.length !== 1)
        problems.push(`${id} is in ${where.length === 0 ? 'no place' : where.join(' and ')}`)
      if (ttl >= 0) problems.push(`${id} waits, is held or buried, but has a time to live of ${ttl} ms`)
      states.set(id, where[0] ?? 'nowhere')
      const tags = / g=(\S+)/.exec(text.split('\n')[0] ?? '')?.[1]?.split(',') ?? []
      for (const tag of tags) tagged.set(tag, [...(tagged.get(tag) ?? []), id])
    }
  }
  for (const name of names.filter((each) => each.startsWith('tag:')))
    if (!tagged.has(name.slice(4))) problems.push(`${name} has no jobs`)
  for (const [tag, ids] of tagged) {
    const listed = (await list('ZRANGE', `tag:${tag}`, 0, -1)).sort()
    if (`${listed}` !== `${ids.sort()}`)
      problems.push(`tag:${tag} has ${listed}, and jobs with it are ${ids}`)
  }
  for (const [id, where] of places)
    if (!states.has(id) && (where.length > 1 || !(id in tombstones)))
      problems.push(`${id} is in ${where} but has no envelope`)
  for (const name of names.filter((each) => each.startsWith('attempt:')))
    if (!states.has(name.slice(8))) problems.push(`${name} belongs to no job`)

  const groups = new Set(await list('ZRANGE', 'errors', 0, -1))
  const listed = new Map<string, string>()
  for (const name of names) {
    const [, kind, group = ''] = /^(error|failed):(.*)$/.exec(name) ?? []
    if (kind !== undefined && !groups.has(group)) problems.push(`${name} belongs to no group of errors`)
    if (kind === 'failed') for (const id of await list('ZRANGE', name, 0, -1)) listed.set(id, group)
  }
  for (const [id, group] of listed)
    if (!buried.includes(id)) problems.push(`${id} is listed as failed by ${group} and is not buried`)
  for (const id of buried) {
    const group = String((await redis.call('HGET', `${prefix}attempt:${id}`, 'group')) ?? '')
    const expected = groups.has(group) ? group : ''
    if ((listed.get(id) ?? '') !== expected) problems.push(`${id} is not listed as failed by ${group}`)
  }

  if (Number(counts.busy ?? 0) !== held)
    problems.push(`counts.busy is ${counts.busy ?? 0}, a recount gives ${held}`)
  let inLanes = 0
  for (const name of names)
    if (name.startsWith('ready:')) inLanes += Number(await redis.call('LLEN', prefix + name))
  const ready = inLanes - Object.keys(tombstones).length
  if (Number(counts.ready ?? 0) !== ready)
    problems.push(`counts.ready is ${counts.ready ?? 0}, a recount gives ${ready}`)
  problems.push(...(await problemsOfKeys({ list, blocked, ofKeys, tombstones, counts })))
  problems.push(...(await problemsOfSchedules(list, names, counts)))
  problems.push(...(await problemsOfFlows({ redis, prefix, names })))
  problems.push(...(await problemsOfUnique({ redis, prefix, names, states, uniqueHeld })))
  const idle = await list('ZRANGE', 'idle', 0, -1)
  for (const name of idle) if (!workers.has(name)) problems.push(`${name} is idle and is not in workers`)
  const mayBeIdle = counts.idle === '1'
  if (!mayBeIdle && idle.length > 0) problems.push(`counts knows of no idle workers, and there are ${idle}`)
  const hasTombstones = (await redis.call('HGET', `${prefix}config`, 'tombstones')) === '1'
  if (!hasTombstones && Object.keys(tombstones).length > 0)
    problems.push(`config knows of no tombstones, and there are ${JSON.stringify(tombstones)}`)
  const known =
    /^(job|ready|held|worker|attempt|unique|again|schedule|action|tag|trash|trash-attempt|trashed|error|failed|stats|outbox|flow):|^(actions|outbox|receipts|flows|events|schedules|errors|lanes|blocked|busy|full|parked|rates|limits|tombstonesIn|uniqueHeld|expires|rests|delayed|workers|idle|draining|completed|buried|counts|wake|tick|config|tombstones|waiters|clock)$/
  for (const name of names) if (!known.test(name)) problems.push(`the key ${name} is not in the layout`)
  return { states, problems }
}

/**
 * What no time takes away, though no job waits or runs and no worker lives: groups of keys, without what is kept of a bounded
 * number (the last outcomes, events, groups of errors, flows) and without the settings and numbers of the queue.
 */
export async function keptForEver(redis: Connection, queue: string): Promise<string[]> {
  const prefix = prefixOf(queue)
  const bounded = /^(completed|events|flows|counts|config|tick|wake|clock|errors|(error|stats):.*)$/
  const kept: string[] = []
  for (const key of await keysOf(redis, prefix)) {
    const name = key.slice(prefix.length)
    if (!bounded.test(name) && Number(await redis.call('PTTL', key)) < 0)
      kept.push(name.replace(/^failed:.*/, 'failed'))
  }
  return kept.sort()
}

/** Each name has a schedule, and the counter is the time of the first one. */
async function problemsOfSchedules(
  list: OfKeys['list'],
  names: readonly string[],
  counts: Record<string, string>,
): Promise<string[]> {
  const placed = recordOf(await list('ZRANGE', 'schedules', 0, -1, 'WITHSCORES'))
  const there = names.filter((name) => name.startsWith('schedule:')).map((name) => name.slice(9))
  const problems: string[] = []
  if (there.join() !== Object.keys(placed).sort().join())
    problems.push(`schedules has ${Object.keys(placed)}, and there are ${there}`)
  const first = Object.values(placed).find((score) => score !== 'inf')
  if (counts.nextScheduleMs !== first)
    problems.push(`counts.nextScheduleMs is ${counts.nextScheduleMs}, the first schedule fires at ${first}`)
  return problems
}

interface OfKeys {
  list: (command: string, name: string, ...args: (string | number)[]) => Promise<string[]>
  blocked: Set<string>
  /** Of each held job with a key: key, token and id. */
  ofKeys: string[]
  tombstones: Record<string, string>
  counts: Record<string, string>
}

/** Each counter of keys, recounted. */
async function problemsOfKeys({ list, blocked, ofKeys, tombstones, counts }: OfKeys): Promise<string[]> {
  const problems: string[] = []
  const busy = await list('ZRANGE', 'busy', 0, -1)
  if (busy.sort().join() !== ofKeys.sort().join()) problems.push(`busy has ${busy}, held are ${ofKeys}`)
  const inLane = new Map<string, number>()
  for (const lane of Object.values(tombstones))
    if (lane.includes('/')) inLane.set(lane, (inLane.get(lane) ?? 0) + 1)
  const noted = recordOf(await list('HGETALL', 'tombstonesIn'))
  for (const lane of new Set([...inLane.keys(), ...Object.keys(noted)]))
    if (Number(noted[lane] ?? 0) !== (inLane.get(lane) ?? 0))
      problems.push(`tombstonesIn has ${noted[lane]} for ${lane}, a recount gives ${inLane.get(lane)}`)
  let live = 0
  const parked = new Set(await list('ZRANGE', 'parked', 0, -1))
  const full = new Set(await list('HKEYS', 'full'))
  const keyOf = (lane: string) => lane.slice(lane.indexOf('/') + 1)
  for (const key of full) if (parked.has(key)) problems.push(`${key} is full and parked`)
  for (const lane of blocked)
    if (!parked.has(keyOf(lane))) problems.push(`${lane} is blocked, and its key is not`)
  const keepTheirTurn = (await list('ZRANGE', 'lanes', 0, -1)).filter((lane) => full.has(keyOf(lane)))
  for (const lane of [...blocked, ...keepTheirTurn]) {
    live += (await list('LRANGE', `ready:${lane}`, 0, -1)).length - (inLane.get(lane) ?? 0)
  }
  if (Number(counts.blocked ?? 0) !== live)
    problems.push(`counts.blocked is ${counts.blocked ?? 0}, a recount gives ${live}`)
  return problems
}

/** A unique key names a job that waits or is held, unless it has a time to live; each of them has its key. */
async function problemsOfUnique({
  redis,
  prefix,
  names,
  states,
  uniqueHeld,
}: {
  redis: Connection
  prefix: string
  names: string[]
  states: Map<string, string>
  uniqueHeld: string[]
}): Promise<string[]> {
  const problems: string[] = []
  const isUnfinished = (id: string) => ['ready', 'delayed', 'held'].includes(states.get(id) ?? '')
  const holders = new Map<string, string>()
  for (const name of names.filter((each) => each.startsWith('unique:'))) {
    const id = String(await redis.call('GET', prefix + name))
    holders.set(name.slice(7), id)
    const hasTime = Number(await redis.call('PTTL', prefix + name)) >= 0
    if (!hasTime && !isUnfinished(id)) problems.push(`${name} is ${id}, which neither waits nor is held`)
  }
  for (const [id, state] of states) {
    const header = String(await redis.call('GET', `${prefix}job:${id}`)).split('\n')[0] ?? ''
    const [, time, key = ''] = / u=([wuf])\d*[kra]:(\S+)/.exec(header) ?? []
    if (time === 'u' && state !== 'buried' && holders.get(key) !== id)
      problems.push(`${id} has the unique key ${key}, and unique:${key} is ${holders.get(key)}`)
  }
  for (const name of names.filter((each) => each.startsWith('again:')))
    if (!isUnfinished(name.slice(6))) problems.push(`${name} follows a job that has ended`)
  const expires = new Set((await redis.call('ZRANGE', `${prefix}expires`, 0, -1)) as string[])
  for (const [id, state] of states) {
    const header = String(await redis.call('GET', `${prefix}job:${id}`)).split('\n')[0] ?? ''
    const waits = state === 'ready' || state === 'delayed'
    const mayExpire = waits && ((header.charCodeAt(1) - 48) & (EXPIRES | REMEMBERED)) === EXPIRES
    if (mayExpire !== expires.has(id))
      problems.push(`${id} is ${state}, ${expires.has(id) ? 'and' : 'but not'} in expires`)
    expires.delete(id)
  }
  for (const id of expires) problems.push(`${id} is in expires and has no envelope`)
  // One that has escalated may run elsewhere.
  for (const [id, state] of states) {
    const flags = String(await redis.call('GETRANGE', `${prefix}job:${id}`, 1, 1)).charCodeAt(0) - 48
    const isAway = state === 'delayed' && (await redis.call('HEXISTS', `${prefix}attempt:${id}`, 'escalated'))
    if (isAway && flags & UNIQUE) uniqueHeld.push(id)
  }
  const noted = ((await redis.call('SMEMBERS', `${prefix}uniqueHeld`)) as string[]).sort()
  if (`${noted}` !== `${uniqueHeld.sort()}`)
    problems.push(`uniqueHeld has ${noted}, a recount gives ${uniqueHeld}`)
  return problems
}

/** In a script, so that a Cluster asks the node that has the queue. */
async function keysOf(redis: Connection, prefix: string): Promise<string[]> {
  const pattern = `${prefix.replaceAll(/[[\]*?\\]/g, '\\$&')}*`
  const found = await redis.call('EVAL', "return redis.call('KEYS', ARGV[1])", 1, prefix, pattern)
  return (found as string[]).sort()
}

function recordOf(flat: readonly string[]): Record<string, string> {
  const record: Record<string, string> = {}
  for (let i = 0; i + 1 < flat.length; i += 2) record[flat[i] ?? ''] = flat[i + 1] ?? ''
  return record
}
