import fc from 'fast-check'
import {
  type Decision,
  decideReplicas,
  type Load,
  noHistory,
  type QueueLoad,
  type ScalingHistory,
  shareOf,
} from '../../../control/src/decide/replicas.ts'
import { workerPool } from '../resources/crds.ts'

interface Given {
  current?: number
  slots?: number
  replicas?: number
  scaling?: object
  load?: Load | 'unknown'
  history?: ScalingHistory
  nowMs?: number
}

const NOW = 10_000_000
const immediately = { scaleDown: { stabilizationWindowSeconds: 0 } }

function queue(ready: number, rest: Partial<QueueLoad> = {}): QueueLoad {
  return { ready, busy: 0, isStopped: false, share: 1, ...rest }
}

function decide(given: Given): Decision {
  const { slots = 4, replicas = 0, scaling = {}, load = { busy: 0, queues: [] }, current = 0 } = given
  return decideReplicas({
    pool: workerPool({ slots, replicas, scaling: { maxReplicas: 20, behavior: immediately, ...scaling } }),
    current,
    load,
    history: given.history ?? noHistory,
    nowMs: given.nowMs ?? NOW,
  })
}

const result = ({ replicas, reason, message }: Decision) => [replicas, reason, message]

test.each<[string, Partial<QueueLoad>, Partial<Load>]>([
  ['ready', { ready: Number.NaN }, {}],
  ['ready of another kind', { ready: '7' as never, share: Number.NaN }, {}],
  ['busy', {}, { busy: Number.NaN }],
  ['busy without end', {}, { busy: Number.POSITIVE_INFINITY }],
  ['maxBusy', { maxBusy: Number.NaN }, {}],
  ['share', { share: Number.NaN }, {}],
  ['rate', { rate: { jobsPerSecond: Number.NaN, meanDurationMs: 1 } }, {}],
])(
  'what is no number (%s) is unknown: the number stays, and is forgotten when it is one again',
  (_what, bad, more) => {
    const target = { target: { type: 'Latency', latency: { maxWaitSeconds: 10 } } }
    const given = { current: 7, scaling: { ...target, behavior: immediately } }
    const load = {
      busy: 0,
      queues: [queue(1, { rate: { jobsPerSecond: 1, meanDurationMs: 1 }, ...bad })],
      ...more,
    }
    const held = decide({ ...given, load })
    expect(held).toMatchObject({ replicas: 7, reason: 'RedisUnreachable' })
    const well = { busy: 0, queues: [queue(1)] }
    expect(decide({ ...given, load: well, history: held.history, nowMs: NOW + 1 }).replicas).toBe(1)
  },
)

describe('the number of workers', () => {
  const latency = { target: { type: 'Latency', latency: { maxWaitSeconds: 10 } } }
  const rate = { jobsPerSecond: 2, meanDurationMs: 5000 }
  const rows: [string, Given, [number, Decision['reason'], string]][] = [
    ['is none without jobs', {}, [0, 'Idle', '0 replicas: no jobs ready or running']],
    [
      'is one for one job',
      { load: { busy: 0, queues: [queue(1)] } },
      [1, 'Concurrency', '1 replica: 1 job ready or running, 4 slots per replica'],
    ],
    [
      'gives every job that is ready or running a slot',
      { current: 1, load: { busy: 4, queues: [queue(8)] } },
      [3, 'Concurrency', '3 replicas: 12 jobs ready or running, 4 slots per replica'],
    ],
    [
      'adds up the queues',
      { load: { busy: 0, queues: [queue(3), queue(2)] } },
      [2, 'Concurrency', '2 replicas: 5 jobs ready or running, 4 slots per replica'],
    ],
    [
      'goes up in one step',
      { slots: 1, load: { busy: 0, queues: [queue(20)] } },
      [20, 'Concurrency', '20 replicas: 20 jobs ready or running, 1 slot per replica'],
    ],
    [
      'is never more than maxReplicas',
      { slots: 1, load: { busy: 0, queues: [queue(100)] } },
      [
        20,
        'MaxReplicas',
        '20 replicas (maxReplicas), 100 needed: 100 jobs ready or running, 1 slot per replica',
      ],
    ],
    [
      'is never less than minReplicas',
      { scaling: { minReplicas: 2 } },
      [2, 'MinReplicas', '2 replicas (minReplicas), 0 needed: no jobs ready or running'],
    ],
    [
      'counts of a limited queue only what may be claimed',
      { load: { busy: 1, queues: [queue(100, { maxBusy: 6, busy: 1 })] } },
      [2, 'Concurrency', '2 replicas: 6 jobs ready or running, 4 slots per replica'],
    ],
    [
      'is not raised by a queue beyond its limit',
      { load: { busy: 0, queues: [queue(9, { maxBusy: 2, busy: 5 })] } },
      [
        0,
        'Idle',
        '0 replicas: 9 jobs ready, but none can be claimed (queue suspended, paused, resting or at its limits)',
      ],
    ],
    [
      'is not raised by jobs that a limit of their key holds back',
      { load: { busy: 2, queues: [queue(100, { blocked: 98, busy: 2 })] } },
      [1, 'Concurrency', '1 replica: 4 jobs ready or running, 4 slots per replica'],
    ],
    [
      'is capped by the rate of a queue: no more run than start while one runs',
      {
        slots: 1,
        load: {
          busy: 0,
          queues: [queue(1_000, { startsPerSecond: 3, rate: { jobsPerSecond: 50, meanDurationMs: 2_000 } })],
        },
      },
      [6, 'Concurrency', '6 replicas: 6 jobs ready or running, 1 slot per replica'],
    ],
    [
      'is one for a rate of one token an hour, and no more',
      { slots: 1, load: { busy: 0, queues: [queue(20, { startsPerSecond: 1 / 3_600 })] } },
      [1, 'Concurrency', '1 replica: 1 job ready or running, 1 slot per replica'],
    ],
    [
      'is not raised by a queue that is suspended, paused or resting',
      { load: { busy: 0, queues: [queue(9, { isStopped: true })] } },
      [0, 'Suspended', '0 replicas: 9 jobs ready, but all queues are suspended, paused or resting'],
    ],
    [
      'stays while a suspended queue has running jobs',
      { current: 2, load: { busy: 5, queues: [queue(9, { isStopped: true, busy: 5 })] } },
      [2, 'Concurrency', '2 replicas: 5 jobs ready or running, 4 slots per replica'],
    ],
    [
      'provides for its share of a shared queue',
      { load: { busy: 0, queues: [queue(40, { share: shareOf(4, 16) })] } },
      [3, 'Concurrency', '3 replicas: 10 jobs ready or running, 4 slots per replica'],
    ],
    [
      'stays as it is when Redis cannot be read',
      { current: 7, load: 'unknown' },
      [7, 'RedisUnreachable', 'replicas unchanged at 7: Redis cannot be read, so the need is unknown'],
    ],
    [
      'stays as it is when Redis cannot be read, even out of bounds',
      { current: 27, load: 'unknown' },
      [27, 'RedisUnreachable', 'replicas unchanged at 27: Redis cannot be read, so the need is unknown'],
    ],
    [
      'is set by hand with Manual',
      { current: 1, replicas: 6, scaling: { mode: 'Manual' }, load: { busy: 0, queues: [queue(100)] } },
      [6, 'Manual', '6 replicas: set by spec.replicas'],
    ],
    [
      'is set by hand with Manual, though Redis cannot be read',
      { current: 1, replicas: 6, scaling: { mode: 'Manual' }, load: 'unknown' },
      [6, 'Manual', '6 replicas: set by spec.replicas'],
    ],
    [
      'falls at once to a lowered maximum',
      { current: 30, load: { busy: 90, queues: [] } },
      [
        20,
        'MaxReplicas',
        '20 replicas (maxReplicas), 23 needed: 90 jobs ready or running, 4 slots per replica',
      ],
    ],
    [
      'with Latency is that of Concurrency until something was measured',
      { scaling: latency, load: { busy: 0, queues: [queue(40)] } },
      [10, 'Concurrency', '10 replicas: 40 jobs ready or running, 4 slots per replica'],
    ],
    [
      'with Latency provides for arrivals and for what waits',
      { scaling: latency, load: { busy: 0, queues: [queue(40, { rate })] } },
      [8, 'Latency', '8 replicas: 40 jobs ready or running, 4 slots per replica'],
    ],
    [
      'with Latency is never more than the jobs need',
      { scaling: latency, load: { busy: 0, queues: [queue(3, { rate })] } },
      [1, 'Latency', '1 replica: 3 jobs ready or running, 4 slots per replica'],
    ],
    [
      'with Latency is never less than what is busy',
      {
        current: 5,
        scaling: latency,
        load: { busy: 20, queues: [queue(0, { rate: { jobsPerSecond: 1, meanDurationMs: 10 } })] },
      },
      [5, 'Latency', '5 replicas: 20 jobs ready or running, 4 slots per replica'],
    ],
    [
      'with Latency does not wait for data of a queue without jobs',
      { scaling: latency, load: { busy: 0, queues: [queue(0), queue(40, { rate })] } },
      [8, 'Latency', '8 replicas: 40 jobs ready or running, 4 slots per replica'],
    ],
  ]
  test.each(rows)('%s', (_, given, expected) => {
    expect(result(decide(given))).toEqual(expected)
  })
})

describe('the speed of change', () => {
  /** Plays a series of [at second, jobs] against one slot a worker and gives the numbers. */
  function play(scaling: object, steps: [number, number | 'unknown'][], from = 0): number[] {
    let state = { current: from, history: noHistory }
    return steps.map(([atSecond, jobs]) => {
      const load = jobs === 'unknown' ? jobs : { busy: 0, queues: [queue(jobs)] }
      const { replicas, history } = decide({
        ...state,
        slots: 1,
        scaling,
        load,
        nowMs: NOW + atSecond * 1000,
      })
      state = { current: replicas, history }
      return replicas
    })
  }
  const down = (rules: object) => ({ behavior: { scaleDown: { stabilizationWindowSeconds: 0, ...rules } } })
  const up = (rules: object) => ({ behavior: { scaleUp: rules, ...immediately } })

  const rows: [string, object, [number, number | 'unknown'][], number[], number?][] = [
    [
      'goes down only when less was enough for the whole window',
      { behavior: {} },
      [
        [0, 5],
        [10, 1],
        [30, 1],
        [69, 1],
        [70, 1],
      ],
      [5, 5, 5, 5, 1],
    ],
    [
      'takes the highest number of the window',
      { behavior: {} },
      [
        [0, 9],
        [10, 1],
        [40, 4],
        [60, 1],
        [75, 1],
        [121, 1],
      ],
      [9, 9, 9, 9, 4, 1],
    ],
    [
      'after a restart waits a whole window',
      { behavior: {} },
      [
        [0, 0],
        [59, 0],
        [60, 0],
      ],
      [3, 3, 0],
      3,
    ],
    [
      'counts the time in which Redis could not be read as needed',
      { behavior: {} },
      [
        [0, 3],
        [10, 'unknown'],
        [300, 'unknown'],
        [301, 0],
        [360, 0],
        [361, 0],
      ],
      [3, 3, 3, 3, 3, 0],
    ],
    [
      'goes up only when more was needed for the whole window',
      up({ stabilizationWindowSeconds: 30 }),
      [
        [0, 0],
        [10, 5],
        [39, 5],
        [40, 5],
      ],
      [0, 0, 0, 5],
    ],
    [
      'adds so many pods in a period',
      up({ policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }] }),
      [
        [0, 20],
        [1, 20],
        [14, 20],
        [15, 20],
        [30, 20],
      ],
      [4, 4, 4, 8, 12],
    ],
    [
      'adds so many percent in a period, and at least one',
      up({ policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] }),
      [
        [0, 20],
        [15, 20],
        [30, 20],
        [45, 20],
      ],
      [1, 2, 4, 8],
    ],
    [
      'takes the policy that allows most',
      up({
        policies: [
          { type: 'Percent', value: 100, periodSeconds: 15 },
          { type: 'Pods', value: 4, periodSeconds: 15 },
        ],
      }),
      [
        [0, 20],
        [15, 20],
        [30, 20],
      ],
      [4, 8, 16],
    ],
    [
      'takes the policy that allows least when told so',
      up({
        selectPolicy: 'Min',
        policies: [
          { type: 'Percent', value: 100, periodSeconds: 15 },
          { type: 'Pods', value: 4, periodSeconds: 15 },
        ],
      }),
      [
        [0, 20],
        [15, 20],
        [30, 20],
      ],
      [1, 2, 4],
    ],
    [
      'adds none when that is disabled',
      up({ selectPolicy: 'Disabled' }),
      [
        [0, 9],
        [60, 9],
      ],
      [0, 0],
    ],
    [
      'removes so many pods in a period',
      down({ policies: [{ type: 'Pods', value: 2, periodSeconds: 60 }] }),
      [
        [0, 0],
        [30, 0],
        [60, 0],
        [120, 0],
      ],
      [8, 8, 6, 4],
      10,
    ],
    [
      'removes so many percent in a period',
      down({ policies: [{ type: 'Percent', value: 50, periodSeconds: 60 }] }),
      [
        [0, 0],
        [60, 0],
        [120, 0],
        [180, 0],
        [240, 0],
      ],
      [5, 2, 1, 0, 0],
      10,
    ],
    [
      'removes none when that is disabled',
      down({ selectPolicy: 'Disabled' }),
      [
        [0, 0],
        [600, 0],
      ],
      [5, 5],
      5,
    ],
    [
      'reaches a raised minimum at once',
      { minReplicas: 6, ...up({ selectPolicy: 'Disabled' }) },
      [[0, 0]],
      [6],
      2,
    ],
  ]
  test.each(rows)('%s', (_, scaling, steps, numbers, from = 0) => {
    expect(play(scaling, steps, from)).toEqual(numbers)
  })

  const words: [string, Given, [number, Decision['reason'], string]][] = [
    [
      'a window that holds workers',
      { current: 5, scaling: { behavior: {} } },
      [
        5,
        'ScaleDownStabilized',
        '5 replicas, 0 needed; scale-down stabilization (60 seconds) in progress: no jobs ready or running',
      ],
    ],
    [
      'a window that holds jobs',
      { scaling: up({ stabilizationWindowSeconds: 1 }), load: { busy: 0, queues: [queue(3)] } },
      [
        0,
        'ScaleUpStabilized',
        '0 replicas, 1 needed; scale-up stabilization (1 second) in progress: 3 jobs ready or running, 4 slots per replica',
      ],
    ],
    [
      'a policy that holds jobs',
      {
        scaling: up({ policies: [{ type: 'Pods', value: 1, periodSeconds: 9 }] }),
        load: { busy: 0, queues: [queue(9)] },
      },
      [
        1,
        'ScaleUpLimited',
        '1 replica, 3 needed; limited by the scaleUp policies: 9 jobs ready or running, 4 slots per replica',
      ],
    ],
    [
      'a policy that holds workers',
      { current: 5, scaling: down({ policies: [{ type: 'Pods', value: 1, periodSeconds: 9 }] }) },
      [
        4,
        'ScaleDownLimited',
        '4 replicas, 0 needed; limited by the scaleDown policies: no jobs ready or running',
      ],
    ],
  ]
  test.each(words)('is explained: %s', (_, given, expected) => {
    expect(result(decide(given))).toEqual(expected)
  })

  test('the history stays short however long a pool lives', () => {
    let state = { current: 0, history: noHistory }
    for (let second = 0; second < 7200; second++) {
      const load = { busy: 0, queues: [queue(second % 7)] }
      const { replicas, history } = decide({
        ...state,
        slots: 1,
        scaling: { behavior: {} },
        load,
        nowMs: NOW + second * 1000,
      })
      state = { current: replicas, history }
    }
    expect(state.history.wishes.length).toBeLessThanOrEqual(63)
    expect(state.history.changes.length).toBeLessThanOrEqual(1800)
  })
})

describe('whatever happens', () => {
  const rules = fc.record(
    {
      stabilizationWindowSeconds: fc.constantFrom(0, 5, 60),
      selectPolicy: fc.constantFrom('Max', 'Min', 'Disabled'),
      policies: fc.array(
        fc.record({
          type: fc.constantFrom('Pods', 'Percent'),
          value: fc.integer({ min: 1, max: 200 }),
          periodSeconds: fc.integer({ min: 1, max: 30 }),
        }),
        { maxLength: 3 },
      ),
    },
    { requiredKeys: [] },
  )
  const load: fc.Arbitrary<Load | 'unknown'> = fc.oneof(
    { weight: 1, arbitrary: fc.constant<'unknown'>('unknown') },
    {
      weight: 6,
      arbitrary: fc.record({
        busy: fc.integer({ min: 0, max: 60 }),
        queues: fc.array(
          fc.record(
            {
              ready: fc.integer({ min: 0, max: 90 }),
              busy: fc.integer({ min: 0, max: 90 }),
              maxBusy: fc.integer({ min: 1, max: 90 }),
              isStopped: fc.boolean(),
              share: fc.double({ min: 0.1, max: 1, noNaN: true }),
              rate: fc.record({
                jobsPerSecond: fc.double({ min: 0, max: 50, noNaN: true }),
                meanDurationMs: fc.double({ min: 0, max: 60_000, noNaN: true }),
              }),
            },
            { requiredKeys: ['ready', 'busy', 'isStopped', 'share'] },
          ),
          { minLength: 1, maxLength: 3 },
        ),
      }),
    },
  )

  test('the number is whole, within bounds, enough for what is busy, unchanged while unknown; and jobs always get a worker in the end', () => {
    fc.assert(
      fc.property(
        fc.record({
          slots: fc.integer({ min: 1, max: 8 }),
          minReplicas: fc.integer({ min: 0, max: 5 }),
          maxReplicas: fc.integer({ min: 5, max: 30 }),
          target: fc.constantFrom(
            { type: 'Concurrency' },
            { type: 'Latency', latency: { maxWaitSeconds: 3 } },
          ),
          behavior: fc.record({ scaleUp: rules, scaleDown: rules }),
          steps: fc.array(fc.record({ load, afterMs: fc.integer({ min: 0, max: 20_000 }) }), {
            maxLength: 30,
          }),
        }),
        ({ slots, steps, ...scaling }) => {
          const pool = workerPool({ slots, scaling })
          let state = { current: 0, history: noHistory, nowMs: NOW }
          for (const step of steps) {
            const nowMs = state.nowMs + step.afterMs
            const decision = decideReplicas({ pool, ...state, nowMs, load: step.load })
            expect(Number.isInteger(decision.replicas)).toBe(true)
            expect(decision.message).toMatch(/^(replicas unchanged at )?\d+[ ,:]/)
            if (step.load === 'unknown') {
              expect(decision.replicas).toBe(state.current)
            } else {
              const busyReplicas = Math.min(Math.ceil(step.load.busy / slots), scaling.maxReplicas)
              expect(decision.replicas).toBeGreaterThanOrEqual(Math.max(busyReplicas, scaling.minReplicas))
              expect(decision.replicas).toBeLessThanOrEqual(scaling.maxReplicas)
            }
            state = { current: decision.replicas, history: decision.history, nowMs }
          }
          if (scaling.behavior.scaleUp.selectPolicy === 'Disabled') return
          for (let second = 0; second < 200; second++) {
            const nowMs = state.nowMs + 1000
            const { replicas, history } = decideReplicas({
              pool,
              ...state,
              nowMs,
              load: { busy: 0, queues: [queue(1)] },
            })
            state = { current: replicas, history, nowMs }
          }
          expect(state.current).toBeGreaterThanOrEqual(1)
        },
      ),
      { numRuns: 300, seed: SEED },
    )
  })
})

// fast-check names the seed of a failure; MILLHAND_TEST_SEED repeats it.
const SEED = Number(process.env.MILLHAND_TEST_SEED ?? Date.now() % 2 ** 31)
beforeAll(() => process.stderr.write(`replicas.test.ts: seed ${SEED}\n`))
