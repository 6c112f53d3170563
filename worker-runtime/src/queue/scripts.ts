// The scripts: one for each verb, composed of lua/<verb>.lua and of what it uses of the parts. Loaded once a process, by verbs.ts.
import { createHash } from 'node:crypto'
import { databasePart } from './keys.ts'
import { luaOf } from './lua.ts'
import { defaultSettings, LAYOUT, LEASE_MS, RENEW_MS } from './settings.ts'

/** adds: refused by a Redis that is full. changes: lets jobs end and people act even there. reads: writes nothing that it needs. */
const VERBS = {
  enqueue: 'adds',
  register: 'changes',
  renew: 'changes',
  deregister: 'changes',
  resync: 'changes',
  exchange: 'changes',
  reap: 'changes',
  report: 'changes',
  cancel: 'changes',
  retry: 'changes',
  delete: 'changes',
  purge: 'changes',
  configure: 'changes',
  release: 'changes',
  pause: 'changes',
  drain: 'changes',
  dismiss: 'reads',
  depth: 'reads',
  workers: 'reads',
  job: 'reads',
  wait: 'reads',
  unwait: 'reads',
  jobs: 'reads',
  witness: 'changes',
} as const

export type Verb = keyof typeof VERBS
export interface Script {
  readonly source: string
  readonly sha: string
}
export type Scripts = Readonly<Record<Verb, Script>>

/** What verbs are made of; a file uses only those before it. */
const PARTS = ['clock', 'text', 'lanes', 'lifecycle', 'idle']

/**
 * Reads the scripts. `clock` is the Lua expression that gives the time as {seconds, microseconds}: the server's clock, and in
 * tests of the state machine a key that they can turn.
 */
export function loadScripts({ clock = "redis.call('TIME')", database = 0 } = {}): Scripts {
  const parts = PARTS.map(partOf)
    .join('')
    .replace("redis.call('TIME')", clock)
    .replace(
      'ALL_DEFAULTS',
      Object.entries(DEFAULTS)
        .map((pair) => pair.join(' = '))
        .join(', '),
    )
    .split(/^(?=local )/m)
  const constants = `local LAYOUT, LEASE_MS, RENEW_MS, DATABASE = ${LAYOUT}, ${LEASE_MS}, ${RENEW_MS}, '${databasePart(database)}'\n`
  const script = (verb: Verb): Script => {
    const body = withWhatItUses(partOf(verb), parts)
    const source = constants + prologueOf(verb, body) + body
    return { source, sha: createHash('sha1').update(source).digest('hex') }
  }
  const verbs = Object.keys(VERBS) as Verb[]
  return Object.fromEntries(verbs.map((verb) => [verb, script(verb)])) as unknown as Scripts
}

/** Without comments: a word of one is no use of a function. */
const partOf = (name: string): string => luaOf(name).replaceAll(/^ *--.*\n| +--.*$/gm, '')

const DEFAULTS: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(defaultSettings).filter(([, value]) => typeof value === 'number'),
)

/**
 * Every verb asks first for the settings that it names, and refuses a queue of another layout. Redis over maxmemory refuses a script whose first
 * write may need memory: what must work even then frees something first.
 */
function prologueOf(verb: Verb, body: string): string {
  const named = [...body.matchAll(/\bset\.(\w+)/g)].map(([, field = '']) => field)
  const fields = [...new Set(['layout', ...named])]
  const orDefault = (field: string) => (field in DEFAULTS ? ` or ${DEFAULTS[field]}` : '')
  const settings = fields.map((field, i) => `${field} = tonumber(values[${i + 1}]${orDefault(field)})`)
  const text = partOf('prologue')
    .replace('FIELDS', fields.map((field) => `'${field}'`).join(', '))
    .replace('SETTINGS', settings.join(', '))
  return VERBS[verb] === 'changes' ? `${text}redis.call('DEL', Q .. 'nothing')\n` : text
}

/**
 * Redis makes all functions of a script anew at each call, so a verb gets only what it names of the parts; and what is named as
 * seldom().<function> alone is made when it is first called.
 */
function withWhatItUses(verb: string, parts: readonly string[]): string {
  const always = usedBy(verb, parts)
  const text = always.join('') + verb
  const { seldom, later } = usedSeldomBy(
    text,
    parts.filter((part) => !always.includes(part)),
  )
  if (seldom.length === 0) return text
  return `local seldom
${always.join('')}local made
seldom = function()
if made then return made end
${later.join('')}made = { ${seldom.map((name) => `${name} = ${name}`).join(', ')} }
return made
end
${verb}`
}

/** What is used seldom may itself use another one seldom. */
function usedSeldomBy(text: string, parts: readonly string[]): { seldom: string[]; later: string[] } {
  let seldom: string[] = []
  let later: string[] = []
  for (;;) {
    const found = (text + later.join('')).matchAll(/\bseldom\(\)\.(\w+)\(/g)
    const named = [...new Set([...found].map(([, name = '']) => name))]
    if (named.length === seldom.length) return { seldom, later }
    seldom = named
    later = usedBy(named.map((name) => `${name}()`).join(' '), parts)
  }
}

/** A part uses only those before it. */
function usedBy(text: string, parts: readonly string[]): string[] {
  const used: string[] = []
  for (const part of parts.toReversed()) {
    const [, word, names = ''] = /^local (function )?([\w, ]*\w)/.exec(part) ?? []
    const use = `(?<!\\.)\\b(${names.replaceAll(', ', '|')})\\b${word ? '\\(' : ''}`
    if (names !== '' && new RegExp(use).test(text + used.join(''))) used.unshift(part)
  }
  return used
}
