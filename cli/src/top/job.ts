// The view of one job: what millhand job says, and the output of a running one as it comes.
import type { Cause, JobDetails, OutputEvent, Queue } from 'millhand/queue'
import { described, whyNot } from '../commands/job.ts'
import { jobDeeds } from './deeds.ts'
import type { Reach } from './reach.ts'
import type { View } from './view.ts'

const MOST_LINES = 500

export function jobView(reach: Reach, queue: Queue, id: string): View {
  const label = reach.label(queue)
  let job: JobDetails | undefined
  let causes: readonly Cause[] = []
  let isRead = false
  const output: string[] = []
  const closing = new AbortController()
  let following: Promise<void> | undefined
  return {
    crumb: `job ${id}`,
    queueLabel: label,
    columns: [],
    rows: () => [],
    get empty() {
      return isRead ? 'the job is not known: it was never enqueued, or its result has expired' : 'reading'
    },
    summary: () => (job ? `${job.state} · ${job.task} · ${label}` : label),
    lines() {
      if (!job) return []
      const paint = (_: unknown, text: string) => text
      const text = described({ queue, job }, causes, { paint, nowMs: reach.nowMs })
      const live = output.length > 0 ? ['', 'output as it comes:', ...output] : []
      return [...text.replaceAll('\t', '  ').split('\n'), ...live]
    },
    async load() {
      job = await queue.job(id)
      causes = job ? ((await whyNot({ queue, job })) ?? []) : []
      isRead = true
      if (job?.state === 'held') following ??= follow().finally(() => (following = undefined))
    },
    keys: jobDeeds(queue, label, id),
    close: () => closing.abort(),
  }

  /** While the view is open: its worker sends lines only to those who look. */
  async function follow(): Promise<void> {
    const { server } = reach
    if (closing.signal.aborted) return
    const events = queue.output(id, { messages: server.messages(), signal: closing.signal })
    try {
      output.length = 0
      for await (const event of events) {
        output.push(...linesOf(event))
        if (output.length > MOST_LINES) output.shift()
      }
    } catch {
      // Redis is away, which the next look says.
    }
  }
}

function linesOf(event: OutputEvent): string[] {
  if (event.kind === 'line') return [`  ${event.line}`]
  return event.kind === 'dropped' ? [`  ${event.lines} lines left out: too many came at once`] : []
}
