// Every request and every answer of `/api/v1`: JSON, times in ms UTC. The server checks requests by it and
// makes the OpenAPI document from it; the pages have their types from it. Nothing of Node.
export * from './api/actions.ts'
export { API, JOB_STATES, MOST_ROWS, MOST_TEXT_BYTES, PRIORITIES, Reason } from './api/bounds.ts'
export * from './api/errors.ts'
export * from './api/flows.ts'
export * from './api/history.ts'
export * from './api/jobs.ts'
export * from './api/queues.ts'
export * from './api/schedules.ts'
export * from './api/server.ts'
