// The lines that `millhand up` prints for each event of local mode. Pure, except that it remembers earlier
// events.

import type { Context, Paint } from './context.ts'
import type { LocalEvent, WorkerLogEntry } from './local/events.ts'
import { describeProblem } from './local/manifests.ts'
import { oneLine, withoutPasswords } from './printable.ts'
import { counted, durationText, timeText } from './units.ts'

interface Line {
  /** Empty: the line has neither time nor name. */
  who: string
  what: string
  style?: Parameters<Paint>[0]
}

export type UpEvent =
  | LocalEvent
  | {
      kind: 'ready'
      redisUrl: string
      dashboardUrl?: string
      namespace: string
      queues: string[]
      pools: string[]
      schedules: string[]
    }
  | { kind: 'lines-dropped'; lines: number }

type WorkerOutput = Extract<LocalEvent, { kind: 'worker-output' }>

/** Fields of a worker's log that each line repeats, and the message, which each line shows. */
const NOT_SHOWN = new Set(['time', 'level', 'message', 'pod', 'queue'])

/** Returns a function that turns an event into lines. It remembers earlier events. */
export function eventLines({ paint, nowMs }: Pick<Context, 'paint' | 'nowMs'>): (event: UpEvent) => string[] {
  const said = new Set<string>()
  return (event) =>
    linesOf(event, said).map(({ who, what, style }) => {
      const text = oneLine(withoutPasswords(what))
      if (who === '') return text
      const time = paint('dim', timeText(nowMs()).slice(-8))
      return `${time}  ${paint('cyan', oneLine(who).padEnd(14))}  ${style ? paint(style, text) : text}`
    })
}

type Say<Kind extends UpEvent['kind']> = (
  event: Extract<UpEvent, { kind: Kind }>,
  said: Set<string>,
) => Line[]

/** The text of each kind of event. */
const SAY: { [Kind in UpEvent['kind']]: Say<Kind> } = {
  ready({ queues, pools, schedules, dashboardUrl }) {
    const [queue = 'QUEUE'] = queues.map((name) => name.slice(name.indexOf('.') + 1))
    const numbers = [counted(queues.length, 'queue'), counted(pools.length, 'pool')]
    if (schedules.length > 0) numbers.push(counted(schedules.length, 'schedule'))
    const what = `ready: ${numbers.join(', ')}`
    const next = `In another terminal, here:  millhand enqueue ${queue} TASK '{…}'`
    const dashboard = dashboardUrl === undefined ? [] : [{ who: '', what: `Dashboard:  ${dashboardUrl}` }]
    return [{ who: '', what: `${what}; Ctrl-C stops. ${next}` }, ...dashboard]
  },
  'lines-dropped': ({ lines }) => [
    { who: 'up', what: `dropped ${counted(lines, 'line')}: nobody reads the output`, style: 'yellow' },
  ],
  warning: ({ message }) => message.split('\n').map((what) => ({ who: 'note', what, style: 'yellow' })),
  'redis-fetching': ({ message }) => [{ who: 'redis', what: message }],
  'redis-started'({ version, url, dataFolder }) {
    const where = dataFolder ? `data in ${dataFolder}` : 'keeps nothing'
    return [{ who: 'redis', what: `${version} on ${url}, ${where}` }]
  },
  'redis-exited': ({ output }) => [
    {
      who: 'redis',
      what: `the server exited and is restarted; its last line: ${lastLine(output)}`,
      style: 'red',
    },
  ],
  'redis-away': ({ message }) => [
    { who: 'redis', what: `away: ${message}; workers go on when it is back`, style: 'red' },
  ],
  'redis-back': () => [{ who: 'redis', what: 'back' }],
  'queue-configured': ({ queue }) => [{ who: queue, what: 'configured' }],
  'pool-scaled': ({ pool, from, to, message }) => [
    { who: pool, what: `scaled from ${from} to ${counted(to, 'worker')}: ${message}` },
  ],
  'worker-started': ({ worker, pid }) => [{ who: worker, what: `started (process ${pid})` }],
  'worker-ready': ({ worker, startedWithinMs }) => [
    { who: worker, what: `ready after ${durationText(startedWithinMs)}` },
  ],
  'worker-output': outputLines,
  'worker-stopping': ({ worker, because }) => [
    { who: worker, what: `finishes its jobs and ends (${WHY_STOPPING[because]})` },
  ],
  'worker-stopped': ({ worker }) => [{ who: worker, what: 'ended' }],
  'worker-died'({ worker, reason, nextStartInMs }) {
    const again = `the next one starts in ${durationText(nextStartInMs)}`
    return [{ who: worker, what: `died: ${reason}; ${again}`, style: 'red' }]
  },
  'jobs-put-back': ({ worker, jobs, reason }) => [
    { who: worker, what: `${counted(jobs, 'job')} put back: ${reason}`, style: 'yellow' },
  ],
  'pool-misconfigured': ({ pool, message }) => [
    ...message.split('\n').map((what): Line => ({ who: pool, what, style: 'red' })),
    { who: pool, what: 'its workers are started again when a file changes' },
  ],
  'dashboard-write': ({ verb, resource, queue, outcome, ids = [] }) => [
    {
      who: 'dashboard',
      what: `${verb} ${resource} of ${queue}${ids.length > 0 ? `: ${ids.slice(0, 3).join(', ')}` : ''}: ${outcome}`,
    },
  ],
  'resource-event': conditionLines,
  watching: ({ folders }) => [
    {
      who: 'reload',
      what: `watches ${folders.join(', ')}: saved code starts new workers; code elsewhere needs a restart of up`,
    },
  ],
  'code-changed': ({ files, pools }) => [
    { who: 'reload', what: `saved ${files.join(', ')}: new workers for ${pools.join(', ')}` },
  ],
  'manifests-changed': ({ files }) => [{ who: 'reload', what: `saved ${files.join(', ')}: read again` }],
  'manifests-refused': ({ problems }) => [
    ...problems.map((problem): Line => ({ who: 'reload', what: describeProblem(problem), style: 'red' })),
    { who: 'reload', what: 'nothing was changed; correct the manifests and save them' },
  ],
  stopping: ({ workers }) => [{ who: 'up', what: `stopping ${counted(workers, 'worker')}` }],
}

function linesOf(event: UpEvent, said: Set<string>): Line[] {
  const say = SAY[event.kind] as (event: UpEvent, said: Set<string>) => Line[]
  return say(event, said)
}

const WHY_STOPPING = {
  idle: 'no work',
  replaced: 'newer code',
  deleted: 'its pool is gone',
  stop: 'up stops',
} as const

/** Warnings, and the end of a warning. Other conditions have lines of their own. */
function conditionLines(event: Extract<UpEvent, { kind: 'resource-event' }>, said: Set<string>): Line[] {
  const { resource, name, type, reason, message } = event
  const inTrouble = `in trouble: ${resource} ${name}`
  const what = `${resource} ${reason}: ${message}`
  if (type === 'Warning') {
    said.add(inTrouble)
    return [{ who: name, what, style: 'yellow' }]
  }
  return reason === 'Ready' && said.delete(inTrouble) ? [{ who: name, what }] : []
}

/** Lines of a worker's log: output of tasks, warnings and errors. Other lines have events of their own. */
function outputLines({ worker, line, entry }: WorkerOutput, said: Set<string>): Line[] {
  if (!entry) return line.trim() === '' ? [] : [{ who: worker, what: line, style: 'yellow' }]
  if (entry.message === 'output')
    return [
      { who: worker, what: entry.job === undefined ? String(entry.line) : `${entry.job}  ${entry.line}` },
    ]
  if (entry.message === 'attempt ended' && entry.why !== undefined) return [failure(worker, entry)]
  if (entry.level !== 'warn' && entry.level !== 'error') return []
  const what = `${entry.message}${factsOf(entry)}`
  const isOfWorker = entry.job === undefined
  // Each worker of a pool logs the same of its machine and its server.
  if (isOfWorker && said.has(what)) return []
  if (isOfWorker) said.add(what)
  return [{ who: worker, what, style: entry.level === 'error' ? 'red' : 'yellow' }]
}

function failure(who: string, { job, task, attempt, outcome, durationMs, why }: WorkerLogEntry): Line {
  const took = typeof durationMs === 'number' ? ` after ${durationText(durationMs)}` : ''
  return { who, what: `job ${job} (${task}), attempt ${attempt}: ${outcome}${took}: ${why}`, style: 'red' }
}

function factsOf(entry: WorkerLogEntry): string {
  const facts = Object.entries(entry)
    .filter(([name]) => !NOT_SHOWN.has(name))
    .map(([name, value]) => `${name} ${typeof value === 'string' ? value : JSON.stringify(value)}`)
  return facts.length === 0 ? '' : ` (${facts.join(', ')})`
}

function lastLine(output: string): string {
  return output.trim().split('\n').at(-1) || 'nothing'
}
