// The public face for those who write tasks: `import { task } from 'millhand'`. The client has its own:
// 'millhand/client'.
export { type Around, use } from './around.ts'
export { HandOver } from './hand-over.ts'
export { type RestOf, RetryAfter } from './retry-after.ts'
export type {
  AddedJobOptions,
  AnyTask,
  Job,
  ScheduledRun,
  Task,
  TaskInput,
  TaskName,
  TaskOutput,
  TaskResult,
} from './task.ts'
export { TerminalError, task } from './task.ts'
