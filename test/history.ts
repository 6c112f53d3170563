// The history of a run: every process appends what it did to one file, and the checker judges the promises from that file and from
// a census of Redis alone, knowing nothing of what the test meant to do. What happens where there is no such file, in pods, is recorded
// elsewhere and added.
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Connection } from 'millhand/queue'
import { openQueue } from 'millhand/queue'
import { census } from './census.ts'

export interface HistoryEvent {
  /** acknowledged: the await of the enqueue returned. started, stepped (a step runs), saved, ended: the task's own words. fault: something was killed. */
  what:
    | 'acknowledged'
    | 'started'
    | 'detached'
    | 'progressed'
    | 'stepped'
    | 'saved'
    | 'refused'
    | 'ended'
    | 'fault'
  job: string
  attempt?: number
  pid?: number
  /** Of a task in a pod. */
  podUid?: string
  atMs: number
  detail?: string
}

export class History {
  readonly file = join(mkdtempSync(join(tmpdir(), 'millhand-history-')), 'history')

  add(event: Omit<HistoryEvent, 'atMs'>): void {
    appendFileSync(this.file, `${JSON.stringify({ ...event, atMs: Date.now() })}\n`)
  }

  /** Events as lines. The same line twice is one event whose receipt was lost. */
  addRecorded(lines: readonly string[]): void {
    appendFileSync(this.file, [...new Set(lines)].map((line) => `${line}\n`).join(''))
  }

  events(): HistoryEvent[] {
    if (!existsSync(this.file)) return []
    return readFileSync(this.file, 'utf8')
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line))
  }

  /** With what tests have put beside it. */
  remove(): void {
    rmSync(dirname(this.file), { recursive: true, force: true })
  }

  of(what: HistoryEvent['what'], job?: string): HistoryEvent[] {
    return this.events().filter((event) => event.what === what && (job === undefined || event.job === job))
  }
}

export interface Expectations {
  /** Most starts of one job beyond the first: the faults that can have hit it. */
  faults: number
  /** Acknowledged jobs that Redis lost when it went back to an earlier state, and says so: they must be nowhere. */
  vanished?: ReadonlySet<string>
  /** How acknowledged jobs may have ended. */
  ends?: readonly string[]
}

/**
 * I1 every acknowledged job is in exactly one terminal state. I3 each job is in one place and the counters equal a recount. I4 nothing is held
 * any more and no key is left over. I7 no job ran more often than once and once more for each fault. (I2, that no stale owner
 * settles, follows from tokens: every start of a job has a higher attempt or comes after a hand back; the model test proves it.)
 */
export async function judge(
  redis: Connection,
  queue: string,
  history: History,
  { faults, vanished = new Set(), ends = ['completed'] }: Expectations,
) {
  const problems: string[] = []
  const { states, problems: layout } = await census(redis, queue)
  problems.push(...layout)
  const started = Map.groupBy(history.of('started'), ({ job }) => job)
  const acknowledged = new Set(history.of('acknowledged').map(({ job }) => job))
  for (const job of acknowledged) {
    const state = states.get(job)
    if (vanished.has(job)) {
      if (state) problems.push(`${job} vanished and is ${state}`)
      continue
    }
    if (!state || !ends.includes(state))
      problems.push(`${job} was acknowledged and is now ${state ?? 'nowhere'}`)
    const starts = started.get(job)?.length ?? 0
    if (state === 'completed' && starts === 0) problems.push(`${job} is completed but never ran`)
    if (starts > 1 + faults) problems.push(`${job} ran ${starts} times with ${faults} faults`)
  }
  for (const [job] of states)
    if (!acknowledged.has(job)) problems.push(`${job} is there but was never enqueued`)
  const depth = await openQueue(redis, queue).depth()
  if (depth.busy !== 0) problems.push(`${depth.busy} jobs are still held`)
  const { enqueued, completed, cancelled } = depth.counts
  if (depth.counts.vanished !== vanished.size)
    problems.push(`counts.vanished is ${depth.counts.vanished}, and ${vanished.size} vanished`)
  const ended = [...states.values()].filter((state) => state === 'completed').length
  if (ended !== completed) problems.push(`counts.completed is ${completed}, a recount gives ${ended}`)
  if (enqueued - vanished.size !== states.size)
    problems.push(
      `counts.enqueued is ${enqueued}, a recount gives ${states.size} (${cancelled} cancelled, ${vanished.size} vanished)`,
    )
  return problems
}
