// One reconcile of a Schedule: observe → plan → apply. What it declares is set in its queue, where workers and
// redis/firing.ts enqueue what is due, and its status says how that goes. What no Schedule declares any more is
// deleted by the reconcile of the queue (orphans.ts).
import { checkSchedule, QueueRefused, type ScheduleState } from 'millhand/queue'
import type { QueueProblem } from '../decide/observed.ts'
import { newsType } from '../decide/report.ts'
import { type ObservedSchedule, planSchedule, type SchedulePlan } from '../decide/schedule.ts'
import type { Reconcile } from '../engine/controller.ts'
import type { SeenQueue } from '../redis/seen-queue.ts'
import type { Servers } from '../redis/servers.ts'
import { parseSchedule, type Schedule, type ScheduleObject } from '../resources/schedule.ts'
import type { Subject, World } from '../world.ts'
import { openDeclared } from './declared-queue.ts'

export interface ScheduleContext {
  world: Pick<World, 'get' | 'writeStatus' | 'tell'>
  servers: Servers
  /** Of the wall clock: it stands in the status. */
  wallMs: () => number
  /** For metrics. */
  onSchedule?: (observed: ObservedSchedule) => void
  onScheduleGone?: (namespace: string, name: string) => void
}

export function scheduleReconciler(context: ScheduleContext): Reconcile {
  const { world, wallMs } = context
  return async (key) => {
    const object = world.get('Schedule', key)
    if (!object || object.metadata.deletionTimestamp) {
      const [namespace = '', name = ''] = key.split('/')
      context.onScheduleGone?.(namespace, name)
      return {}
    }
    const observed = await observeSchedule(object, context)
    context.onSchedule?.(observed)
    const plan = planSchedule(observed, wallMs())
    await applySchedule(plan, observed.schedule, world)
    return { againInMs: plan.checkAgainAfterMs }
  }
}

/** Sets the schedule in its queue, and reads what became of it. Setting the same again changes nothing. */
export async function observeSchedule(
  object: ScheduleObject,
  { world, servers }: { world: Pick<World, 'get'>; servers: Servers },
): Promise<ObservedSchedule> {
  const schedule = parseSchedule(object, 'default')
  const { namespace } = schedule.metadata
  const naming = { namespace, name: schedule.queue, field: 'spec.queue' }
  const { queueName, found } = await openDeclared(naming, { world, servers })
  const { status } = object
  const generation = object.metadata.generation ?? 0
  return {
    ...{ schedule, generation, status },
    ...(queueName !== undefined && { queueName }),
    found: found.kind === 'problem' ? found : await set(schedule, found),
  }
}

type Open = Extract<Awaited<ReturnType<typeof openDeclared>>['found'], { kind: 'open' }>

async function set(schedule: Schedule, { seen, declared }: Open): Promise<ObservedSchedule['found']> {
  const { name, namespace, uid: ownerUid = '' } = schedule.metadata
  try {
    checkSchedule(name, schedule.spec)
    const { schedules } = seen.toWrite
    const owner = { ownerUid, owner: `Schedule ${namespace}/${name}` }
    const answer = await schedules.set(name, schedule.spec, owner)
    let state = await schedules.get(name)
    if (answer === 'name-taken' && isOfGone(state, declared)) {
      await schedules.set(name, schedule.spec, { ...owner, takeOver: true })
      state = await schedules.get(name)
    }
    if (state?.ownerUid !== ownerUid) return { kind: 'problem', ...taken(name, seen.name) }
    if (answer !== 'unchanged') await lookAgain(seen)
    return { kind: 'open', state }
  } catch (error) {
    return { kind: 'problem', ...problemOf(error, seen) }
  }
}

/**
 * A queue that a TaskQueue owns has schedules of programs and of this namespace: another UID is of one that
 * is gone.
 */
function isOfGone(state: ScheduleState | undefined, { metadata: { uid } }: Open['declared']): boolean {
  return uid !== undefined && state !== undefined && state.ownerUid !== ''
}

/** It may be due before the next look. */
async function lookAgain(seen: SeenQueue): Promise<void> {
  seen.stir()
  await seen.look()
}

function problemOf(error: unknown, seen: SeenQueue): QueueProblem {
  if (error instanceof TypeError || isAboutSpec(error))
    return { reason: 'InvalidSchedule', message: error.message }
  const problem = seen.problemOf(error)
  if (!problem) throw error
  return problem
}

const isAboutSpec = (error: unknown): error is QueueRefused =>
  error instanceof QueueRefused && error.code === 'PAYLOAD_TOO_LARGE'

function taken(name: string, queue: string): QueueProblem {
  return {
    reason: 'NameTaken',
    message: `the queue ${queue} has a schedule ${name} of a program: rename this one, or delete that one (millhand schedule delete)`,
  }
}

async function applySchedule(
  { status, events }: SchedulePlan,
  { metadata: { namespace, name, uid = '' } }: Schedule,
  world: ScheduleContext['world'],
): Promise<void> {
  const subject: Subject = { kind: 'Schedule', namespace, name, uid }
  if (status) await world.writeStatus(subject, status)
  for (const finding of events) {
    const { reason, message } = finding
    world.tell(subject, { type: newsType(finding), reason, message })
  }
}
