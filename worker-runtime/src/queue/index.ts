// The export `millhand/queue`: what the worker, the CLI and the operator share. The only way to the layout in
// Redis.

export { copyError, errorLines, failureText, type JobError, reasonLines, reasonOf } from '../errors.ts'
export {
  isJobId,
  type JobOptions,
  LANES,
  MAX_PAYLOAD_BYTES,
  type NewJob,
  newJob,
  ON_DUPLICATE,
  type Priority,
} from '../job.ts'
export { newJobId } from '../job-id.ts'
export { createLog, type Facts, LEVELS, type Level, type Log, logTo, silent } from '../log.ts'
export { nearest } from '../nearest.ts'
export {
  accessFrom,
  accessVariables,
  addressText,
  certificatesFrom,
  type HostPort,
  hostPortText,
  parseAddress,
  type RedisAccess,
  type RedisAddress,
} from '../redis/address.ts'
export { type Connection, type ConnectionOptions, RedisUnavailable } from '../redis/connection.ts'
export { connectRedis } from '../redis/reconnect.ts'
export { slotOf } from '../redis/slot.ts'
export {
  ACTION_VERBS,
  type Action,
  type ActionVerb,
  type Counted,
  type NewAction,
  type RunOptions,
  STATES_OF_VERB,
} from './actions.ts'
export { RedisDataInvalid } from './answers.ts'
export type { Cause, Why } from './cause.ts'
export { dueTimes, fireAt, type Missed, type Timing } from './due.ts'
export { DURABILITIES, type Durability } from './durability.ts'
export type { EnqueueAnswer, Enqueued } from './enqueue.ts'
export type { ErrorGroup, ErrorGroupDetails, ErrorGroups } from './error-groups.ts'
export {
  type Change,
  type ChangedJob,
  EVENT_KINDS,
  type EventKind,
  type EventsOptions,
  type QueueEvent,
} from './events.ts'
export {
  type Candidate,
  FILTER_STATES,
  type Filter,
  FilterInvalid,
  type FilterState,
  filterText,
  matches,
  parseFilter,
  statesFor,
  type Term,
} from './filter.ts'
export { type FindOptions, type FoundJobs, MOST_JOBS_A_PAGE } from './find.ts'
export {
  FLOW_STATES,
  type FlowDetails,
  type FlowFacts,
  type FlowJobFacts,
  type FlowState,
  type FlowsPage,
} from './flows.ts'
export {
  HISTORY_SERIES,
  type History,
  type HistoryColumn,
  type HistoryQuestion,
  type HistorySeries,
} from './history.ts'
export type { Settlement } from './hold.ts'
export { prefixOf, queueName, stirredChannel } from './keys.ts'
export { checkLimits, type KeyState, type Rests } from './limits.ts'
export { listQueues } from './list-queues.ts'
export type { OutputEvent, OutputLine, OutputOptions } from './output.ts'
export { type Owner, ownerText } from './owner.ts'
export { PURGEABLE, type Purgeable } from './people.ts'
export { openQueue, type Queue } from './queue.ts'
export {
  type AttemptRecord,
  type Depth,
  FLOW_JOB_ID,
  FLOW_OUTCOMES,
  type FlowCounts,
  type JobDetails,
  type JobState,
  type JobSummary,
  type WorkerEntry,
} from './reads.ts'
export { QueueRefused } from './refused.ts'
export {
  checkSchedule,
  checkScheduleName,
  OVERLAPS,
  type Overlap,
  type ScheduledJobOptions,
  type ScheduleSpec,
} from './schedule-spec.ts'
export type {
  Fired,
  FiredRun,
  LastRun,
  ScheduleOwner,
  ScheduleState,
  SchedulesPage,
} from './schedules.ts'
export {
  defaultSettings,
  type KeyLimits,
  LAYOUT,
  LEASE_MS,
  MOST_SLOTS,
  type QueueSettings,
  type Rate,
  RENEW_MS,
  WHEN_AT_LIMIT,
  type WhenAtLimit,
} from './settings.ts'
export type { Seen } from './verbs.ts'
export { whenText } from './when.ts'
export { causesOf, WHY_CODES, type WhyFacts } from './why.ts'
