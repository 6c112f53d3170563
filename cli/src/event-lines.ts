// What `millhand up` prints for each event of local mode: time, who, what. Pure but for what it remembers of earlier events.
import type { LocalEvent, WorkerLogEntry } from '@millhand/operator/local'
import { describeProblem } from '@millhand/operator/local'
import type { Context, Paint } from './context.ts'
import { oneLine, withoutPasswords } from './printable.ts'
import { counted, durationText, timeText } from './units.ts'

interface Line {
  /** Empty for what is said without time and name. */
  who: string
  what: string
  style?: Parameters<Paint>[0]
}

export type UpEvent =
  | LocalEvent
  | { kind: 'ready'; redisUrl: string; namespace: string; queues: string[]; pools: string[] }
  | { kind: 'lines-dropped'; lines: number }

type WorkerOutput = Extract<LocalEvent, { kind: 'worker-output' }>

/** What every line of a worker's log says, and the message that is shown anyway. */
const NOT_SHOWN = new Set(['time', 'level', 'message', 'pod', 'queue'])

/** A function that turns one event after the other into lines. */
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

function linesOf(event: UpEvent, said: Set<string>): Line[] {
  switch (event.kind) {
    case 'ready': {
      const [queue = 'QUEUE'] = event.queues.map((name) => name.slice(name.indexOf('.') + 1))
      const what = `ready: ${counted(event.queues.length, 'queue')}, ${counted(event.pools.length, 'pool')}`
      const next = `In another terminal, here:  millhand enqueue ${queue} TASK '{…}'`
      return [{ who: '', what: `${what}; Ctrl-C stops. ${next}` }]
    }
    case 'lines-dropped':
      return [
        { who: 'up', what: `${counted(event.lines, 'line')} dropped: nobody read them`, style: 'yellow' },
      ]
    case 'warning':
      return event.message.split('\n').map((what) => ({ who: 'note', what, style: 'yellow' }))
    case 'redis-fetching':
      return [{ who: 'redis', what: event.message }]
    case 'redis-started': {
      const where = event.dataFolder ? `data in ${event.dataFolder}` : 'keeps nothing'
      return [{ who: 'redis', what: `${event.version} on ${event.url}, ${where}` }]
    }
    case 'redis-exited':
      return [
        {
          who: 'redis',
          what: `the server ended by itself and is started again; it said: ${lastLine(event.output)}`,
          style: 'red',
        },
      ]
    case 'redis-away':
      return [{ who: 'redis', what: `away: ${event.message}; workers go on when it is back`, style: 'red' }]
    case 'redis-back':
      return [{ who: 'redis', what: 'back' }]
    case 'queue-configured':
      return [{ who: event.queue, what: 'configured' }]
    case 'pool-scaled':
      return [
        {
          who: event.pool,
          what: `${counted(event.to, 'worker')} wanted instead of ${event.from}: ${event.message}`,
        },
      ]
    case 'worker-started':
      return [{ who: event.worker, what: `started (process ${event.pid})` }]
    case 'worker-ready':
      return [{ who: event.worker, what: `ready after ${durationText(event.startedWithinMs)}` }]
    case 'worker-output':
      return outputLines(event, said)
    case 'worker-stopping':
      return [{ who: event.worker, what: `finishes what it runs and ends (${WHY_STOPPING[event.because]})` }]
    case 'worker-stopped':
      return [{ who: event.worker, what: 'ended' }]
    case 'worker-died': {
      const again = `the next one starts in ${durationText(event.nextStartInMs)}`
      return [{ who: event.worker, what: `died: ${event.reason}; ${again}`, style: 'red' }]
    }
    case 'jobs-put-back':
      return [
        {
          who: event.worker,
          what: `${counted(event.jobs, 'job')} that it held put back: ${event.reason}`,
          style: 'yellow',
        },
      ]
    case 'pool-misconfigured': {
      const hint = 'its workers are started again when a file changes'
      return [
        ...event.message.split('\n').map((what): Line => ({ who: event.pool, what, style: 'red' })),
        { who: event.pool, what: hint },
      ]
    }
    case 'watching': {
      const what = `${event.folders.join(', ')}: saved code starts new workers; code elsewhere needs a restart of up`
      return [{ who: 'reload', what: `watches ${what}` }]
    }
    case 'code-changed':
      return [
        { who: 'reload', what: `saved ${event.files.join(', ')}: new workers for ${event.pools.join(', ')}` },
      ]
    case 'manifests-changed':
      return [{ who: 'reload', what: `saved ${event.files.join(', ')}: read again` }]
    case 'manifests-refused': {
      const problems = event.problems.map(
        (problem): Line => ({ who: 'reload', what: describeProblem(problem), style: 'red' }),
      )
      return [
        ...problems,
        { who: 'reload', what: 'everything goes on as it was; correct the manifests and save them' },
      ]
    }
    case 'stopping':
      return [{ who: 'up', what: `stopping ${counted(event.workers, 'worker')}` }]
  }
}

const WHY_STOPPING = {
  idle: 'there is nothing to do',
  replaced: 'there is newer code',
  stop: 'up stops',
} as const

/** Of a worker's log: what tasks write, and what went wrong. Its other lines are told by events of their own. */
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
  // Every worker of a pool has the same to say of its machine and its server.
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
