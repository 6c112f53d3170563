// The life of a job on one line: it waits (dashed), it runs (a bar), it ends.
import type { Job } from '../../src/api.ts'
import { clock, duration, exactly, now } from '../app/time.ts'

interface Step {
  kind: 'point' | 'wait' | 'try'
  label: string
  tone?: string
  atMs?: number
  tookMs?: number
}

export function Timeline({ job }: { job: Job }) {
  const steps = stepsOf(
    job,
    job.state === 'held' || job.state === 'ready' || job.state === 'delayed' ? now.value : 0,
  )
  return (
    <ol class="timeline" aria-label="Timeline">
      {steps.map((step, n) => (
        <li
          key={n}
          data-kind={step.kind}
          class={step.tone && `s-${step.tone}`}
          title={step.atMs === undefined ? undefined : exactly(step.atMs)}
          style={step.tookMs === undefined ? undefined : { flexGrow: 1 + Math.log10(1 + step.tookMs) }}
        >
          <span class="line">
            <i />
          </span>
          <span class={step.kind === 'wait' ? 'muted' : undefined}>{step.label}</span>
          {step.atMs !== undefined && <span class="muted">{clock(step.atMs)}</span>}
        </li>
      ))}
    </ol>
  )
}

function stepsOf(job: Job, currentMs: number): Step[] {
  const steps: Step[] = [{ kind: 'point', label: 'enqueued', atMs: job.enqueuedAtMs }]
  let atMs = job.enqueuedAtMs
  const first = 1 + Math.max(0, endedAttempts(job) - job.failures.length)
  if (first > 1) steps.push({ kind: 'wait', label: `${first - 1} earlier attempts are not kept` })
  job.failures.forEach((failure, n) => {
    const beganMs = failure.startedAtMs ?? (failure.endedAtMs ?? atMs) - (failure.durationMs ?? 0)
    const endedMs = failure.endedAtMs ?? beganMs + (failure.durationMs ?? 0)
    if (beganMs > atMs && (n > 0 || first === 1)) steps.push(wait(beganMs - atMs))
    const tookMs = Math.max(0, endedMs - beganMs)
    steps.push({
      kind: 'try',
      tone: 'buried',
      label: `try ${first + n}: ${failure.outcome}, ${duration(tookMs)}`,
      atMs: beganMs,
      tookMs,
    })
    atMs = endedMs
  })
  return [...steps, ...lastSteps(job, atMs, currentMs)]
}

function lastSteps(job: Job, sinceMs: number, currentMs: number): Step[] {
  const { state, endedAtMs, durationMs = 0, dueAtMs } = job
  if (state === 'completed' && endedAtMs !== undefined) {
    const beganMs = endedAtMs - durationMs
    return [
      ...(beganMs > sinceMs ? [wait(beganMs - sinceMs)] : []),
      {
        kind: 'try',
        tone: 'completed',
        label: `succeeded, ${duration(durationMs)}`,
        atMs: beganMs,
        tookMs: durationMs,
      },
      { kind: 'point', label: 'completed', atMs: endedAtMs },
    ]
  }
  if (state === 'buried')
    return [
      {
        kind: 'point',
        label: 'buried',
        tone: 'buried',
        ...(job.buriedAtMs !== undefined && { atMs: job.buriedAtMs }),
      },
    ]
  if (state === 'cancelled' || state === 'expired')
    return [{ kind: 'point', label: state, ...(endedAtMs !== undefined && { atMs: endedAtMs }) }]
  if (state === 'held') return [{ kind: 'try', tone: 'held', label: 'runs' }]
  const waited = wait(Math.max(0, currentMs - sinceMs))
  if (state === 'delayed' && dueAtMs !== undefined)
    return [waited, { kind: 'point', label: 'due', atMs: dueAtMs }]
  return [waited, { kind: 'point', label: 'ready' }]
}

const wait = (tookMs: number): Step => ({ kind: 'wait', label: duration(tookMs), tookMs })

const endedAttempts = ({ attempts, crashes, state }: Job): number =>
  attempts + crashes - (state === 'held' || state === 'completed' ? 1 : 0)
