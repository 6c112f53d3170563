// What a person should look at, as sentences that say what is wrong and what to do. Pure.
import type { ScheduleObject } from '@millhand/control/resources/schedule'
import type { PoolNow, Problem, QueueNow } from '../api.ts'

const MOST = 50
/** A cold start is no problem. */
const WAITS_TOO_LONG_MS = 10_000
/** Conditions whose other status than this is a problem. */
const QUEUE_CONDITIONS = { Ready: 'True', RedisSuitable: 'True', EscalationReady: 'True' } as const
const POOL_CONDITIONS = {
  Stalled: 'False',
  Ready: 'True',
  ScalingActive: 'True',
  IsolationFallback: 'False',
  ScalingLimited: 'False',
} as const
const SCHEDULE_CONDITIONS = { Stalled: 'False', Ready: 'True', Late: 'False' } as const
const IS_ERROR = ['Ready', 'Stalled']
/** What passes by itself within moments. */
const PASSES = ['PodsStarting', 'WorkersStarting', 'QueueNotReady']

/** The worst first. */
export function problemsIn(
  queues: readonly QueueNow[],
  pools: readonly Declared[],
  schedules: readonly ScheduleObject[] = [],
): Problem[] {
  const found = [...queues.flatMap(ofQueue), ...pools.flatMap(ofPool), ...schedules.flatMap(ofSchedule)]
  const seen = new Set<string>()
  const isNew = ({ text }: Problem) => !seen.has(text) && seen.add(text)
  return [...found.filter(isError), ...found.filter((problem) => !isError(problem))]
    .filter(isNew)
    .slice(0, MOST)
}

const isError = ({ severity }: Problem): boolean => severity === 'error'

function ofQueue(queue: QueueNow): Problem[] {
  const { namespace, name, unread, conditions } = queue
  const about = { kind: 'TaskQueue', namespace, name } as const
  const told: Problem[] = unread
    ? [
        {
          ...about,
          severity: 'error',
          code: unread.reason,
          text: `Queue ${name} cannot be read: ${unread.message}.`,
        },
      ]
    : []
  const bad = conditions
    .filter((condition) => isBad(condition, QUEUE_CONDITIONS) && condition.reason !== unread?.reason)
    .map((condition) => ofCondition(condition, about))
  const waiting = unread ? undefined : whyWaiting(queue)
  return [...told, ...bad, ...(waiting ? [{ ...about, ...waiting }] : [])]
}

function whyWaiting({
  name,
  namespace,
  numbers,
  pools,
}: QueueNow): Pick<Problem, 'severity' | 'code' | 'text'> | undefined {
  if (!numbers || numbers.ready === 0) return undefined
  const { ready, oldestReadyMs = 0, isPaused, isSuspended, restsMs, workers } = numbers
  const jobs = ready === 1 ? '1 job waits' : `${ready} jobs wait`
  if (isPaused)
    return {
      severity: 'warning',
      code: 'Paused',
      text: `Queue ${name} is paused: ${jobs}. Resume it to run them.`,
    }
  if (isSuspended)
    return {
      severity: 'warning',
      code: 'Suspended',
      text: `Queue ${name} is suspended by its TaskQueue: ${jobs}. Set spec.suspend to false to run them.`,
    }
  if (workers > 0 || restsMs !== undefined || oldestReadyMs < WAITS_TOO_LONG_MS) return undefined
  const text =
    pools.length === 0
      ? `No WorkerPool serves queue ${name}: ${jobs}. Create one in namespace ${namespace} that names it in spec.queues.`
      : `No worker serves queue ${name}: ${jobs}. See the conditions of WorkerPool ${pools.join(', ')}.`
  return { severity: 'error', code: 'NoWorkers', text }
}

type Declared = Pick<PoolNow, 'namespace' | 'name' | 'conditions'>

function ofPool({ namespace, name, conditions }: Declared): Problem[] {
  const about = { kind: 'WorkerPool', namespace, name } as const
  return badOf(conditions, POOL_CONDITIONS).map((condition) => ofCondition(condition, about))
}

function ofSchedule({ metadata: { namespace = '', name }, spec, status }: ScheduleObject): Problem[] {
  const about = { kind: 'Schedule', namespace, name, queue: spec.queue } as const
  return badOf(status?.conditions ?? [], SCHEDULE_CONDITIONS).map((condition) =>
    ofCondition(condition, about),
  )
}

type Condition = Pick<QueueNow['conditions'][number], 'type' | 'status' | 'reason' | 'message'>

/** One for each reason. */
function badOf(conditions: readonly Condition[], good: Readonly<Record<string, string>>): Condition[] {
  const reasons = new Set<string>()
  const isNew = ({ reason }: Condition) => !reasons.has(reason) && reasons.add(reason)
  return conditions.filter((condition) => isBad(condition, good)).filter(isNew)
}

function isBad({ type, status, reason }: Condition, good: Readonly<Record<string, string>>): boolean {
  const wanted = Object.hasOwn(good, type) ? good[type] : undefined
  return wanted !== undefined && status !== wanted && status !== 'Unknown' && !PASSES.includes(reason)
}

function ofCondition(
  { type, reason, message }: Condition,
  about: Pick<Problem, 'kind' | 'namespace' | 'name' | 'queue'>,
): Problem {
  const severity = IS_ERROR.includes(type) ? 'error' : 'warning'
  return { ...about, severity, code: reason, text: `${about.kind} ${about.name}: ${message}` }
}
