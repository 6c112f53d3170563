// The numbers of a queue without jobs, for tests of what is decided by them.
import type { Depth } from 'millhand/queue'

export const noJobs: Depth = {
  ready: 0,
  due: 0,
  delayed: 0,
  busy: 0,
  buried: 0,
  blocked: 0,
  suspended: false,
  paused: false,
  counts: {
    enqueued: 0,
    claimed: 0,
    busy: 0,
    completed: 0,
    retried: 0,
    buried: 0,
    lost: 0,
    cancelled: 0,
    expired: 0,
    vanished: 0,
  },
}
