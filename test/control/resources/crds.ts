// The CRDs as the tests of resources/ need them: whole, and as the schemas that manifests are checked against.

import { parseSchedule, type ScheduleManifest } from '../../../control/src/resources/schedule.ts'
import { checkAgainstSchema, type Schema } from '../../../control/src/resources/schema.ts'
import { loadCrds, loadSchemas } from '../../../control/src/resources/schemas.ts'
import { parseTaskQueue, type TaskQueueManifest } from '../../../control/src/resources/task-queue.ts'
import { parseWorkerPool, type WorkerPoolManifest } from '../../../control/src/resources/worker-pool.ts'

export const schemas = loadSchemas()

export const crds = loadCrds()

export const template = { spec: { containers: [{ name: 'worker', image: 'example/tasks:1' }] } }

export function taskQueueManifest(spec: object = {}): TaskQueueManifest {
  return checked({ metadata: { name: 'mail' }, spec }, schemas.TaskQueue) as TaskQueueManifest
}

export function workerPoolManifest(spec: object = {}): WorkerPoolManifest {
  const whole = { queues: [{ name: 'mail' }], template, ...spec }
  return checked({ metadata: { name: 'mailers' }, spec: whole }, schemas.WorkerPool) as WorkerPoolManifest
}

export function scheduleManifest(spec: object = {}): ScheduleManifest {
  const whole = { queue: 'mail', task: 'digest', ...spec }
  return checked({ metadata: { name: 'nightly' }, spec: whole }, schemas.Schedule) as ScheduleManifest
}

export const taskQueue = (spec: object = {}) => parseTaskQueue(taskQueueManifest(spec), 'default')
export const workerPool = (spec: object = {}) => parseWorkerPool(workerPoolManifest(spec), 'default')
export const schedule = (spec: object = {}) => parseSchedule(scheduleManifest(spec), 'default')

function checked(manifest: object, schema: Schema): unknown {
  const { value, problems } = checkAgainstSchema(manifest, schema)
  if (problems.length > 0) throw new Error(problems.map(({ message }) => message).join('\n'))
  return value
}
