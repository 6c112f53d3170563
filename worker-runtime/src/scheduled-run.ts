// Which run of a schedule a job is, by its id (task.ts).
/** The run of a schedule that a job is. */
export interface ScheduledRun {
  /** Of the schedule. */
  readonly name: string
  /** The due time, however late the job is; ms. */
  readonly dueAtMs: number
}

/** From the id, `<schedule>@<due ms>`: only schedules make such ids (queue/lua/schedule.lua). */
export function scheduleOf(jobId: string): ScheduledRun | undefined {
  const [, name, dueMs] = /^([^@]+)@(\d+)$/.exec(jobId) ?? []
  return name === undefined ? undefined : { name, dueAtMs: Number(dueMs) }
}
