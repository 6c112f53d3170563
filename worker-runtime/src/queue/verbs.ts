// The verbs: one Lua script each, behind what all of them share (scripts/shared.lua). Called by queue.ts alone.
import { createHash } from 'node:crypto'
import type { Command, Connection } from '../redis/connection.ts'
import { databasePart } from './keys.ts'
import { luaOf } from './lua.ts'
import { defaultSettings, LAYOUT, LEASE_MS, RENEW_MS } from './settings.ts'

const VERBS = [
  'enqueue',
  'register',
  'renew',
  'deregister',
  'resync',
  'settle-and-claim',
  'reap',
  'report',
  'cancel',
  'retry',
  'delete',
  'purge',
  'configure',
  'release',
  'pause',
  'drain',
  'dismiss',
  'depth',
  'workers',
  'job',
  'jobs',
  'witness',
] as const

export type Verb = (typeof VERBS)[number]
export interface Script {
  readonly source: string
  readonly sha: string
}
export type Scripts = Readonly<Record<Verb, Script>>

/**
 * Reads the scripts. `clock` is the Lua expression that gives the time as {seconds, microseconds}: the server's clock, and in
 * tests of the state machine a key that they can turn.
 */
export function loadScripts({ clock = "redis.call('TIME')", database = 0 } = {}): Scripts {
  const shared = luaOf('shared').replace("redis.call('TIME')", clock).replace('ALL_DEFAULTS', luaFields())
  const constants = `local LAYOUT, LEASE_MS, RENEW_MS, DATABASE = ${LAYOUT}, ${LEASE_MS}, ${RENEW_MS}, '${databasePart(database)}'\n`
  const script = (verb: Verb): Script => {
    const text = guarded(luaOf(verb))
    const named = /\bsettings\(('[^)]*)\)/.exec(text)?.[1] ?? ''
    const defaults = `local DEFAULTS = { ${luaFields((field) => named.includes(`'${field}'`))} }\n`
    const source = defaults + constants + withWhatItUses(text, shared)
    return { source, sha: createHash('sha1').update(source).digest('hex') }
  }
  return Object.fromEntries(VERBS.map((verb) => [verb, script(verb)])) as unknown as Scripts
}

/**
 * Runs a verb on the queue with this prefix; a server that does not know the script yet gets it with the same call. Two keys are named: while a
 * Cluster moves a slot key by key, a script would find only some of a queue's keys, and a call with two keys of which one is missing is
 * refused as a whole (TRYAGAIN). The prefix itself is never a key.
 */
export function run(
  redis: Connection,
  script: Script,
  prefix: string,
  args: readonly (string | number)[],
): Promise<unknown> {
  return evaluated(script, prefix, args, ([name, ...rest]) => redis.call(name, ...rest))
}

/** The same, and right behind it a command about what was written. */
export function runThen(
  redis: Connection,
  script: Script,
  prefix: string,
  args: readonly (string | number)[],
  { command, deadlineMs }: { command: Command; deadlineMs: number },
): Promise<[unknown, unknown]> {
  return evaluated(script, prefix, args, (first) => redis.callThen(deadlineMs, first, command))
}

async function evaluated<T>(
  { sha, source }: Script,
  prefix: string,
  args: readonly (string | number)[],
  send: (command: Command) => Promise<T>,
): Promise<T> {
  const rest = [2, prefix, `${prefix}config`, ...args] as const
  try {
    return await send(['EVALSHA', sha, ...rest])
  } catch (error) {
    if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error
    return send(['EVAL', source, ...rest])
  }
}

/** Verbs that read the settings anyway look at the layout there; the others ask for it. */
function guarded(verb: string): string {
  if (verb.includes('newer_layout(')) return verb
  return `local newer = newer_layout(redis.call('HGET', Q .. 'config', 'layout'))\nif newer then return newer end\n${verb}`
}

/** Redis makes all functions of a script anew at each call, so a verb gets only those of the shared ones that it names. */
function withWhatItUses(verb: string, shared: string): string {
  return shared.split(/^(?=local )/m).reduceRight((kept, piece) => {
    const name = /^local (?:function )?(\w+)/.exec(piece)?.[1]
    return !name || new RegExp(`\\b${name}\\b`).test(kept) ? piece + kept : kept
  }, verb)
}

function luaFields(isWanted: (field: string) => boolean = () => true): string {
  return Object.entries(defaultSettings)
    .filter(([field, value]) => typeof value === 'number' && isWanted(field))
    .map(([field, value]) => `${field} = ${value}`)
    .join(', ')
}
