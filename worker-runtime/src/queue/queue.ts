// One queue in Redis, with the verbs of everybody: the client (enqueue.ts, wait.ts), workers (hold.ts),
// people (people.ts, find.ts, why.ts), the owner (owner.ts).
import type { Connection } from '../redis/connection.ts'
import { acting } from './actions.ts'
import { enqueueing } from './enqueue.ts'
import { errorGroups } from './error-groups.ts'
import { telling } from './events.ts'
import { finding } from './find.ts'
import { flowing } from './flows.ts'
import { remembering } from './history.ts'
import { holding } from './hold.ts'
import { checkedQueueName } from './keys.ts'
import { limiting } from './limits.ts'
import { forwarding } from './outbox.ts'
import { showing } from './output.ts'
import { owning } from './owner.ts'
import { looking } from './people.ts'
import { reaping } from './reap.ts'
import { registering } from './registration.ts'
import { saving } from './save.ts'
import { scheduling } from './schedules.ts'
import type { Scripts } from './scripts.ts'
import { Verbs } from './verbs.ts'
import { waiting } from './wait.ts'
import { explaining } from './why.ts'

const everything = {
  ...{ ...enqueueing, ...waiting, ...holding, ...reaping, ...registering, ...looking },
  ...{
    ...saving,
    ...finding,
    ...explaining,
    ...limiting,
    ...showing,
    ...owning,
    ...telling,
    ...remembering,
    ...forwarding,
  },
}

/** Each function without its first argument, the queue. */
type OfOneQueue<T> = {
  readonly [K in keyof T]: T[K] extends (verbs: Verbs, ...rest: infer A) => infer R
    ? (...rest: A) => R
    : never
}

export interface Queue extends OfOneQueue<typeof everything> {
  readonly name: string
  readonly redis: Connection
  /** Failures of one kind, counted together. */
  readonly errors: OfOneQueue<typeof errorGroups>
  /** Jobs, some of which wait for others, that are at home here. */
  readonly flows: OfOneQueue<typeof flowing>
  /** What is done to many jobs at once. */
  readonly actions: OfOneQueue<typeof acting>
  /** Jobs that come by the clock. */
  readonly schedules: OfOneQueue<typeof scheduling>
}

/**
 * Opens the queue with this name in Redis (`queueName(namespace, name)`). Costs nothing; nothing is created.
 */
export function openQueue(redis: Connection, name: string, scripts?: Scripts): Queue {
  const verbs = new Verbs({ name: checkedQueueName(name), redis, scripts })
  return {
    name,
    redis,
    ...bound(everything, verbs),
    errors: bound(errorGroups, verbs),
    flows: bound(flowing, verbs),
    actions: bound(acting, verbs),
    schedules: bound(scheduling, verbs),
  }
}

function bound<T extends object>(functions: T, verbs: Verbs): OfOneQueue<T> {
  const calls: [string, (verbs: Verbs, ...rest: never[]) => unknown][] = Object.entries(functions)
  return Object.fromEntries(
    calls.map(([verb, call]) => [verb, (...rest: never[]) => call(verbs, ...rest)]),
  ) as OfOneQueue<T>
}
