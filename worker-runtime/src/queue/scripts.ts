// The scripts: one for each verb, composed of lua/<verb>.lua and of what it uses of the parts. Read once a
// process, by verbs.ts.
import { createHash } from 'node:crypto'
import { databasePart } from './keys.ts'
import { luaOf } from './lua.ts'
import { defaultSettings, LAYOUT, LEASE_MS, RENEW_MS } from './settings.ts'

/**
 * adds: refused by a Redis that is full. changes: lets jobs end and people act even there; frees: the same,
 * and its first write frees memory by itself. reads: writes nothing that it needs.
 */
const VERBS = {
  enqueue: 'adds',
  register: 'changes',
  renew: 'changes',
  deregister: 'changes',
  resync: 'changes',
  exchange: 'frees',
  reap: 'changes',
  report: 'changes',
  save: 'changes',
  cancel: 'changes',
  retry: 'changes',
  delete: 'changes',
  purge: 'changes',
  configure: 'changes',
  release: 'changes',
  pause: 'changes',
  'end-rest': 'changes',
  rests: 'reads',
  limit: 'changes',
  key: 'reads',
  'set-schedule': 'adds',
  'place-schedule': 'changes',
  'delete-schedule': 'changes',
  'run-schedule': 'adds',
  schedules: 'reads',
  due: 'changes',
  fire: 'adds',
  drain: 'changes',
  dismiss: 'reads',
  depth: 'reads',
  workers: 'reads',
  job: 'reads',
  wait: 'reads',
  unwait: 'reads',
  find: 'reads',
  why: 'reads',
  action: 'changes',
  act: 'changes',
  restore: 'changes',
  actions: 'reads',
  follow: 'reads',
  output: 'reads',
  witness: 'changes',
  forward: 'changes',
  accept: 'changes',
  'flow-stage': 'adds',
  'flow-start': 'adds',
  'flow-add': 'adds',
  'flow-cancel': 'changes',
  'flow-retry': 'changes',
  'flow-look': 'reads',
  flows: 'reads',
  'batch-add': 'adds',
  'batch-close': 'changes',
  watch: 'changes',
  events: 'reads',
  groups: 'reads',
  mute: 'changes',
  sample: 'changes',
  history: 'reads',
} as const

export type Verb = keyof typeof VERBS
export interface Script {
  readonly source: string
  readonly sha: string
}
export type Scripts = Readonly<Record<Verb, Script>>

/** The parts of verbs; a part uses only those before it. */
const PARTS = [
  ...[
    'settings',
    'clock',
    'text',
    'tags',
    'tell',
    'errors',
    'stats',
    'busy',
    'turns',
    'lanes',
    'tombstones',
    'rate',
  ],
  ...[
    'limits',
    'lifecycle',
    'promote',
    'expiry',
    'unique',
    'new-job',
    'outbox',
    'waiters',
    'flow',
    'escalate',
  ],
  ...[
    'schedule-end',
    'flagged',
    'follow-ups',
    'try-again',
    'rest',
    'idle',
    'people',
    'trash',
    'admission',
    'schedule',
  ],
]

/**
 * Reads the scripts. `clock` is the Lua expression that gives the time as {seconds, microseconds}: the
 * server's clock, and in tests of the state machine a key that they can turn.
 */
export function loadScripts({ clock = "redis.call('TIME')", database = 0 } = {}): Scripts {
  const parts = PARTS.map(partOf)
    .join('')
    .replace("redis.call('TIME')", clock)
    .replace('ALL_DEFAULTS', tableOf(DEFAULTS))
    .replace('ALL_FIELDS', listOf(FIELDS))
    .replace('ALL_USUAL', listOf(FIELDS.map(usualOf)))
    .split(/^(?=local )/m)
    .map(definitionOf)
  const constants = `local LAYOUT, LEASE_MS, RENEW_MS, USUAL = ${LAYOUT}, ${LEASE_MS}, ${RENEW_MS}, '${USUAL}'\n`
  const script = (verb: Verb): Script => {
    const body = withWhatItUses(partOf(verb), parts)
    const shortWay = verb === 'enqueue' ? SHORT_WAY.replace("redis.call('TIME')", clock) : ''
    const source = withoutIndents(
      withValues(constants + prologueOf(verb, body, { database, shortWay }) + body),
    )
    return { source, sha: sha1(source) }
  }
  return Object.defineProperties(
    {},
    lazyProperties(Object.keys(VERBS), (verb) => script(verb as Verb)),
  ) as Scripts
}

/** A process uses few verbs, and each takes a millisecond to compose: each is made when it is asked for. */
function lazyProperties(names: readonly string[], make: (name: string) => Script): PropertyDescriptorMap {
  const lazily = (name: string): PropertyDescriptor => {
    let script: Script | undefined
    const get = () => {
      script ??= make(name)
      return script
    }
    return { enumerable: true, get }
  }
  return Object.fromEntries(names.map((name) => [name, lazily(name)]))
}

/** A server that does not know a script is sent its whole text. */
const withoutIndents = (lua: string): string => lua.replaceAll(/^ +/gm, '')

const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex')

/**
 * A function that names a constant is made with it, which takes time at each call: the value stands in its
 * place.
 */
function withValues(lua: string): string {
  const values = new Map<string, string>()
  const rest = lua.replaceAll(CONSTANTS, (_, names: string, texts: string) => {
    const each = texts.split(', ')
    for (const [i, name] of names.split(', ').entries()) values.set(name, each[i] ?? '')
    return ''
  })
  return rest.replaceAll(/\b[A-Z_]+\b/g, (name) => values.get(name) ?? name)
}
const CONSTANTS = /^local ((?:[A-Z_]+, )*[A-Z_]+) = ((?:(?:\d+|'\w*'), )*(?:\d+|'\w*'))\n/gm

/** The text without comments: the name of a function in a comment is no use of it. */
const partOf = (name: string): string => luaOf(name).replaceAll(/^ *--.*\n| +--.*$/gm, '')

const DEFAULTS: Readonly<Record<string, number>> = Object.fromEntries(
  Object.entries(defaultSettings).filter(([, value]) => typeof value === 'number'),
)

const tableOf = (values: Readonly<Record<string, unknown>>): string =>
  Object.entries(values)
    .map((pair) => pair.join(' = '))
    .join(', ')
const listOf = (texts: readonly string[]): string => texts.map((text) => `'${text}'`).join(', ')

const settingsIn = (lua: string): string[] => [
  ...new Set([...lua.matchAll(/\bset\.(\w+)/g)].map(([, field = '']) => field)),
]
/** All settings that scripts name as set.<field>, but the layout. */
const FIELDS = settingsIn([...PARTS, ...Object.keys(VERBS)].map(partOf).join('')).filter(
  (field) => field !== 'layout',
)
/** The text in config of a setting with its usual value, if config has it. */
const usualOf = (field: string): string => String(DEFAULTS[field] ?? (field === 'maxBusy' ? '' : 0))
/**
 * Says in config that all of them are as usual; a release with other defaults or settings has another one.
 */
const USUAL = sha1(FIELDS.map((field) => `${field}=${usualOf(field)}`).join(' ')).slice(0, 8)

/**
 * Every verb begins with the settings that it names, and refuses a queue of another layout. Redis over
 * maxmemory refuses a script whose first write may need memory: what must work even then frees something
 * first.
 */
function prologueOf(
  verb: Verb,
  body: string,
  { database, shortWay }: { database: number; shortWay: string },
): string {
  const fields = [...new Set(['layout', ...settingsIn(body)])]
  const orDefault = (field: string) => (field in DEFAULTS ? ` or ${DEFAULTS[field]}` : '')
  const settings = fields.map((field, i) => `${field} = tonumber(values[${i + 1}]${orDefault(field)})`)
  const usual = fields.filter((field) => field in DEFAULTS).map((field) => [field, DEFAULTS[field]])
  const text = partOf('prologue')
    .replace('SHORT_WAY\n', () => shortWay)
    .replace('CHANNELS', database === 0 ? 'Q' : `Q .. '${databasePart(database)}'`)
    .replace('USUAL_SETTINGS', tableOf({ layout: 'LAYOUT', ...Object.fromEntries(usual) }))
    .replace('LAYOUT_TEXT', String(LAYOUT))
    .replace('FIELDS', listOf(fields))
    .replace('SETTINGS', settings.join(', '))
  return VERBS[verb] === 'changes' ? `${text}redis.call('DEL', Q .. 'nothing')\n` : text
}

/**
 * What enqueue does first where all settings are usual (their values stand in their places), before anything is
 * made for the rest of it. It leaves `counts`, `begun` and `opened` to that.
 */
const SHORT_WAY = `local counts, begun, opened
if first[1] == '${LAYOUT}' and first[2] == USUAL then
${partOf('enqueue-plain').replaceAll(/\bset\.(\w+)/g, (_, field: string) => String(DEFAULTS[field]))}end
`

/**
 * Redis makes all functions of a script anew at each call, so a verb gets only what it names of the parts; and
 * what is named as seldom().<function> (or keyed(), limited(), flows()) alone is made when the first of its group is
 * called. Each group has its own copy of what it uses, so that what functions of two groups change stands in neither.
 */
const GROUPS = ['keyed', 'limited', 'flows', 'seldom'] as const

function withWhatItUses(verb: string, parts: readonly Definition[]): string {
  const always = usedBy([wordsOf(verb)], parts)
  const others = parts.filter((part) => !always.includes(part))
  const groups = groupsOf([...always.map(({ words }) => words), wordsOf(verb)], others)
  if (groups.length === 0) return textOf(always) + verb
  return `local ${groups.map(({ group }) => group).join(', ')}
${textOf(always)}${groups.map(lazily).join('')}${verb}`
}

const lazily = ({ group, names, parts }: Group): string => `local made_${group}
${group} = function()
if made_${group} then return made_${group} end
${textOf(parts)}made_${group} = { ${names.map((name) => `${name} = ${name}`).join(', ')} }
return made_${group}
end
`

interface Group {
  group: (typeof GROUPS)[number]
  names: string[]
  parts: Definition[]
}

/** Groups of which something is used; a function of a group may use functions of each group. */
function groupsOf(always: readonly Words[], parts: readonly Definition[]): Group[] {
  let groups: Group[] = []
  for (;;) {
    const all = [...always, ...groups.flatMap((group) => group.parts.map(({ words }) => words))]
    const next = GROUPS.map((group) => {
      const names = [...new Set(all.flatMap((words) => words.lazily[group]))]
      return { group, names, parts: usedBy([{ ...NO_WORDS, called: new Set(names) }], parts) }
    }).filter(({ names }) => names.length > 0)
    const isSame = ({ group, names }: Group) =>
      names.length === groups.find((before) => before.group === group)?.names.length
    if (next.every(isSame)) return groups
    groups = next
  }
}

/** A part uses only those before it. */
function usedBy(users: readonly Words[], parts: readonly Definition[]): Definition[] {
  const used: Definition[] = []
  const all = [...users]
  for (const part of parts.toReversed()) {
    const uses = ({ named, called }: Words) =>
      part.names.some((name) => (part.isFunction ? called : named).has(name))
    if (!all.some(uses)) continue
    used.unshift(part)
    all.push(part.words)
  }
  return used
}

/** A function or a variable of a part, and what stands below it. */
interface Definition {
  readonly text: string
  readonly names: readonly string[]
  readonly isFunction: boolean
  readonly words: Words
}

const textOf = (definitions: readonly Definition[]): string => definitions.map(({ text }) => text).join('')

function definitionOf(text: string): Definition {
  const [, word, names = ''] = /^local (function )?([\w, ]*\w)/.exec(text) ?? []
  const listed = names === '' ? [] : names.split(', ')
  return { text, names: listed, isFunction: word !== undefined, words: wordsOf(text) }
}

/** The words of a text, but those behind a dot; which of them are called, and what is called of a group. */
interface Words {
  readonly named: ReadonlySet<string>
  readonly called: ReadonlySet<string>
  readonly lazily: Readonly<Record<(typeof GROUPS)[number], readonly string[]>>
}
const NO_WORDS: Words = {
  named: new Set(),
  called: new Set(),
  lazily: { keyed: [], limited: [], flows: [], seldom: [] },
}

function wordsOf(lua: string): Words {
  const named = new Set<string>()
  const called = new Set<string>()
  for (const [, word = '', call] of lua.matchAll(/(?<![.\w])(\w+)(\(?)/g)) (call ? called : named).add(word)
  for (const word of called) named.add(word)
  const lazily = { ...NO_WORDS.lazily }
  for (const group of GROUPS)
    lazily[group] = [...lua.matchAll(new RegExp(`\\b${group}\\(\\)\\.(\\w+)\\(`, 'g'))].map(
      ([, name = '']) => name,
    )
  return { named, called, lazily }
}
