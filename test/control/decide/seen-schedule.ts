// A Schedule as it is found in its queue, due in ten minutes.
import type { ScheduleState } from 'millhand/queue'
import type { ObservedSchedule } from '../../../control/src/decide/schedule.ts'
import { schedule } from '../resources/crds.ts'

type Open = Extract<ObservedSchedule['found'], { kind: 'open' }>

export function seenSchedule(
  more: Partial<ScheduleState>,
  nowMs: number,
  spec: object = {},
): ObservedSchedule & { found: Open } {
  const declared = schedule({ cron: '0 8 * * *', ...spec })
  const state: ScheduleState = {
    ...{ name: 'nightly', spec: declared.spec, ownerUid: 'u', owner: 'o', isPaused: false },
    ...{ nextAtMs: nowMs + 600_000, fired: 1, skipped: 0 },
    ...more,
  }
  return {
    ...{ schedule: declared, generation: 1, status: undefined, queueName: 'default.mail' },
    found: { kind: 'open', state },
  }
}
