// RedisSuitable of a TaskQueue: what a person should mend about its Redis, in words that are all ours.
import type { Check, ServerFinding, Severity } from 'millhand/doctor'
import { type ObservedTaskQueue, planTaskQueue } from '../../../control/src/decide/queue.ts'
import { REASON_OF, redisSuitable } from '../../../control/src/decide/suitable.ts'
import { noJobs } from '../../no-jobs.ts'
import { queue } from './mail-queue.ts'

const found = (check: Check, severity: Severity, more: Partial<ServerFinding> = {}): ServerFinding => ({
  check,
  severity,
  message: `${check} is ${severity}`,
  ...(severity !== 'ok' && { remedy: `mend ${check}` }),
  ...more,
})
const version = found('Version', 'ok', { message: 'Redis 7.0.15' })

test.each([
  ['nothing but ok', [version], 'True', 'Suitable', 'Redis 7.0.15: no problem found'],
  ['a note', [found('Memory', 'note'), version], 'True', 'Suitable', 'Redis 7.0.15: no problem found'],
  [
    'a warning',
    [found('Persistence', 'warning'), version],
    'False',
    'NotPersistent',
    'Persistence is warning. mend Persistence',
  ],
  [
    'a problem and a warning',
    [found('Eviction', 'problem'), found('Clock', 'warning'), found('Memory', 'note')],
    'False',
    'EvictionPolicy',
    'Eviction is problem. mend Eviction | Clock is warning. mend Clock',
  ],
  [
    'the same of two servers',
    [
      found('Memory', 'problem', { server: '10.0.0.1:1' }),
      found('Memory', 'problem', { server: '10.0.0.2:1' }),
    ],
    'False',
    'MemoryNearlyFull',
    'Memory is problem. mend Memory',
  ],
  ['a refusal of INFO', [found('Rights', 'note')], 'Unknown', 'InfoRefused', 'Rights is note. mend Rights'],
  ['no answer', 'unknown', 'Unknown', 'RedisUnreachable', 'Redis did not answer INFO and CONFIG GET'],
] as const)('of %s', (_what, findings, status, reason, message) => {
  expect(redisSuitable(findings)).toEqual({ type: 'RedisSuitable', status, reason, message })
})

test('each check has a reason of its own, one word', () => {
  const reasons = Object.values(REASON_OF)
  expect(new Set(reasons).size).toBe(reasons.length)
  for (const reason of reasons) expect(reason).toMatch(/^[A-Z][A-Za-z]+$/)
})

describe('in the status of a TaskQueue', () => {
  const view = { depth: noJobs, workers: [], claimedBetween: 0, measured: {} as never, atMs: 0 }
  const observed = (
    redis: ObservedTaskQueue['redis'],
    status?: ObservedTaskQueue['status'],
  ): ObservedTaskQueue => ({ queue, generation: 1, status, redis })
  const open = (server: readonly ServerFinding[]) => ({ kind: 'open', view, server }) as const
  const conditionOf = (status: ObservedTaskQueue['status']) =>
    status?.conditions.find(({ type }) => type === 'RedisSuitable')
  const bad = [found('Eviction', 'problem')]

  test('a Redis that does not suit is said once, as an Event, and Ready stays True', () => {
    const good = planTaskQueue(observed(open([version])), 0)
    expect(good.events.map(({ reason }) => reason)).toEqual(['Ready'])
    const first = planTaskQueue(observed(open(bad), good.status), 60_000)
    expect(first.events).toEqual([
      expect.objectContaining({ type: 'RedisSuitable', status: 'False', reason: 'EvictionPolicy' }),
    ])
    expect(conditionOf(first.status)).toMatchObject({
      status: 'False',
      lastTransitionTime: '1970-01-01T00:01:00.000Z',
    })
    expect(first.status?.conditions.find(({ type }) => type === 'Ready')?.status).toBe('True')
    expect(first.status?.conditions.find(({ type }) => type === 'Stalled')?.status).toBe('False')
    expect(planTaskQueue(observed(open(bad), first.status), 120_000).events).toEqual([])
    const mended = planTaskQueue(observed(open([version]), first.status), 180_000)
    expect(conditionOf(mended.status)?.status).toBe('True')
    expect(mended.events).toEqual([])
  })

  test('enqueues that Redis lost are told once, how many at least, and stay in the status', () => {
    const openWith = (vanished: number) => {
      const lossy = { ...view, depth: { ...noJobs, counts: { ...noJobs.counts, vanished } } }
      return { kind: 'open', view: lossy, server: [version] } as const
    }
    const good = planTaskQueue(observed(openWith(0)), 0)
    expect(good.vanished).toBeUndefined()
    expect(good.status).not.toHaveProperty('vanishedEnqueues')
    const first = planTaskQueue(observed(openWith(37), good.status), 1_000)
    expect(first).toMatchObject({ vanished: 37, status: { vanishedEnqueues: 37 } })
    expect(planTaskQueue(observed(openWith(37), first.status), 60_000).vanished).toBeUndefined()
    const away = { kind: 'problem', reason: 'RedisUnreachable', message: 'away' } as const
    const unknown = planTaskQueue(observed(away, first.status), 90_000)
    expect(unknown.status?.vanishedEnqueues).toBe(37)
    expect(planTaskQueue(observed(openWith(40), unknown.status), 120_000).vanished).toBe(3)
  })

  test('while Redis cannot be used it is unknown, for the same reason as Ready', () => {
    for (const redis of [
      { kind: 'problem', reason: 'RedisUnreachable', message: 'away' },
      { kind: 'taken', isOwnerThere: false },
    ] as const) {
      const { status } = planTaskQueue(observed(redis), 0)
      const ready = status?.conditions.find(({ type }) => type === 'Ready')
      expect(conditionOf(status)).toMatchObject({ status: 'Unknown', reason: ready?.reason })
    }
  })
})
