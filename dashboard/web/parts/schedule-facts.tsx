// What the list of schedules and the page of one both show.
import type { Schedule } from '../../src/api.ts'
import { Name } from './show.tsx'

/** Why nothing of it is enqueued. */
export function ScheduleRest({ of }: { of: Schedule }) {
  if (of.isSuspended)
    return (
      <span class="state s-blocked" title="What declares it suspends it">
        suspended
      </span>
    )
  if (of.isPaused)
    return (
      <span class="state s-blocked" title="A person has paused it">
        paused
      </span>
    )
  return of.isLate ? (
    <span class="state s-buried" title="It is due and nobody has enqueued its job: is the queue full?">
      late
    </span>
  ) : null
}

/** In words, and the cron as it is written. */
export function ScheduleTimes({ of: { when, cron } }: { of: Schedule }) {
  return (
    <>
      <Name of={when} />
      {cron !== undefined && (
        <span class="cell-sub">
          <Name of={cron} mono />
        </span>
      )}
    </>
  )
}
