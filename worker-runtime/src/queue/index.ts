// The export `millhand/queue`: what the worker, the CLI and the operator share. The only way to the layout in Redis.
export { isJobId, type JobOptions, LANES, type NewJob, newJob, newJobId, type Priority } from '../job.ts'
export { createLog, type Facts, LEVELS, type Level, type Log, silent } from '../log.ts'
export type { AttemptRecord, Depth, JobDetails, JobState, JobSummary, WorkerEntry } from './depth.ts'
export { doneChannel, keys, prefixOf, queueName, stirredChannel } from './keys.ts'
export { type Enqueued, openQueue, Queue, QueueRefused } from './queue.ts'
export {
  addressOf,
  type Connection,
  type ConnectionOptions,
  connectRedis,
  RedisUnavailable,
} from './redis.ts'
export { defaultSettings, LEASE_MS, type QueueSettings, RENEW_MS } from './settings.ts'
