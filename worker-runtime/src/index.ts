// The public face for those who write tasks: `import { task } from 'millhand'`. The client has its own:
// 'millhand/client'.
export { type Around, use } from './around.ts'
export type { AddedJobOptions, FollowUpOptions } from './enqueued-by-tasks.ts'
export { HandOver } from './hand-over.ts'
export { type RestOf, RetryAfter } from './retry-after.ts'
export type { ScheduledRun } from './scheduled-run.ts'
export type {
  AnyTask,
  Job,
  Task,
  TaskInput,
  TaskName,
  TaskOutput,
  TaskResult,
} from './task.ts'
export { TerminalError, task } from './task.ts'
