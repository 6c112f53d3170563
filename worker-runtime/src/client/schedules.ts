// The schedules of a queue, as a program sets them.
import type { Queue } from '../queue/queue.ts'
import { QueueRefused } from '../queue/refused.ts'
import type { ScheduleSpec } from '../queue/schedule-spec.ts'
import type { ScheduleState, SchedulesPage } from '../queue/schedules.ts'
import type { AnyTask, InputField, TaskName } from '../task.ts'

export type { Missed, Timing } from '../queue/due.ts'
export type { Overlap, ScheduledJobOptions, ScheduleSpec } from '../queue/schedule-spec.ts'
export type { LastRun, ScheduleState, SchedulesPage } from '../queue/schedules.ts'

/** A schedule of a task whose type is known: its input is checked. */
export type ScheduleOf<T extends AnyTask> = Omit<ScheduleSpec, 'task' | 'input'> &
  InputField<T> & { task: TaskName<T> }

/**
 * Jobs that come by the clock. Workers, the operator and `millhand up` fire them; a program only sets them.
 */
export interface QueueSchedules {
  /**
   * Sets a schedule, or leaves it as it is where it says the same already: safe at each start of a program.
   * It keeps its next due time unless the times have changed. Throws TypeError for an invalid field, and
   * QueueRefused where a resource has a schedule with this name (SCHEDULE_TAKEN) or the input is too large.
   */
  set<T extends AnyTask = AnyTask>(name: string, schedule: ScheduleOf<T>): Promise<void>
  /** Undefined where there is none. */
  get(name: string): Promise<ScheduleState | undefined>
  /** Next due first, without inputs; at most 200 a page. */
  list(page?: { cursor?: string; limit?: number }): Promise<SchedulesPage>
  /** It does not fire until it is resumed. Answers false where there is none. */
  pause(name: string): Promise<boolean>
  /** It goes on with the next due time. Answers false where there is none. */
  resume(name: string): Promise<boolean>
  /** One run now, besides the plan. Answers the id of its job; undefined where there is none. */
  run(name: string): Promise<string | undefined>
  /** Its jobs stay. Answers false where there was none. Throws QueueRefused where a resource has it. */
  delete(name: string): Promise<boolean>
}

export function schedulesOf(queue: Queue): QueueSchedules {
  const { schedules } = queue
  return {
    async set(name, schedule) {
      if ((await schedules.set(name, schedule as ScheduleSpec)) === 'name-taken')
        throw await taken(queue, name)
    },
    get: (name) => schedules.get(name),
    list: (page) => schedules.list(page),
    pause: (name) => schedules.pause(name),
    resume: (name) => schedules.resume(name),
    run: (name) => schedules.run(name),
    async delete(name) {
      const answer = await schedules.delete(name)
      if (answer === 'name-taken') throw await taken(queue, name)
      return answer === 'deleted'
    },
  }
}

async function taken(queue: Queue, name: string): Promise<QueueRefused> {
  const owner = (await queue.schedules.get(name))?.owner
  return new QueueRefused(
    'SCHEDULE_TAKEN',
    `schedule ${name} of queue ${queue.name} belongs to ${owner ? `the resource ${owner}` : 'a resource'}: change it there, or use another name`,
  )
}
