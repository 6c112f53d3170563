// What the code says of a resource a second time is compared here with crds/*.yaml, its single source of truth.
import { checkSchedule, defaultSettings, MAX_PAYLOAD_BYTES, MOST_SLOTS, queueName } from 'millhand/queue'
import { brokenRules } from '../../../control/src/resources/cel.ts'
import type { Schema } from '../../../control/src/resources/schema.ts'
import { defaultQueueName, queueSettings } from '../../../control/src/resources/task-queue.ts'
import {
  crds,
  schedule,
  schemas,
  taskQueue,
  taskQueueManifest,
  template,
  workerPool,
  workerPoolManifest,
} from './crds.ts'

function* nodesOf(schema: Schema, path: string[] = []): Generator<{ schema: Schema; path: string[] }> {
  yield { schema, path }
  for (const [name, child] of Object.entries(schema.properties ?? {})) yield* nodesOf(child, [...path, name])
  if (schema.items) yield* nodesOf(schema.items, [...path, '[]'])
  if (typeof schema.additionalProperties === 'object')
    yield* nodesOf(schema.additionalProperties, [...path, '{}'])
}

describe.each(Object.entries(crds))('the CRD of %s', (_, schema) => {
  test('describes every field in a sentence', () => {
    const bare = [...nodesOf(schema)]
      .filter(({ path }) => path[0] !== 'metadata')
      .filter(
        ({ schema: { description } }) =>
          !description || description.length < 12 || !description.endsWith('.'),
      )
    expect(bare.map(({ path }) => path.join('.'))).toEqual([])
  })

  test('has no default inside a list item: each client-side apply would be a change', () => {
    const inItems = [...nodesOf(schema)].filter(
      ({ schema: { default: given }, path }) => given !== undefined && path.includes('[]'),
    )
    expect(inItems.map(({ path }) => path.join('.'))).toEqual([])
  })
})

describe('a TaskQueue', () => {
  test('has defaults that are those of a queue that nobody declared', () => {
    const { ownerUid, ...settings } = queueSettings(taskQueue(), 'owner')
    expect(settings).toEqual(defaultSettings)
    expect(ownerUid).toBe('owner')
  })

  test('becomes settings in milliseconds, with its limits', () => {
    const queue = taskQueue({
      suspend: true,
      timeoutSeconds: 60,
      retry: { maxAttempts: 5, backoff: { baseSeconds: 1 } },
      limits: {
        ...{ maxBusy: 4, maxPayload: '1.5Ki', rate: { jobs: 100, periodSeconds: 60, burst: 20 } },
        perKey: { maxBusy: 2, rate: { jobs: 5, periodSeconds: 1 }, maxLength: 9, whenAtLimit: 'RejectNew' },
      },
      retention: { completed: { maxAgeSeconds: 10, maxCount: 5 } },
      events: { maxCount: 7 },
    })
    expect(queueSettings(queue, 'owner')).toEqual({
      ...defaultSettings,
      ownerUid: 'owner',
      suspended: true,
      timeoutMs: 60_000,
      maxAttempts: 5,
      backoffMs: 1000,
      maxBusy: 4,
      rate: { jobs: 100, periodMs: 60_000, burst: 20 },
      perKey: { maxBusy: 2, rate: { jobs: 5, periodMs: 1_000 }, maxLength: 9, whenAtLimit: 'RejectNew' },
      maxPayloadBytes: 1536,
      completedMaxAgeMs: 10_000,
      completedMaxCount: 5,
      eventsMaxCount: 7,
    })
  })

  test('is named in Redis as clients and workers name it', () => {
    expect(taskQueue().queueName).toBe('default.mail')
    expect(defaultQueueName('default', 'mail')).toBe(queueName('default', 'mail'))
    expect(taskQueue({ queueName: 'default.other' }).queueName).toBe('default.other')
  })

  const rows: [string, object, object | undefined, string[]][] = [
    ['no retry', { retry: { maxAttempts: 1 } }, undefined, []],
    [
      'a back-off above its maximum',
      { retry: { backoff: { baseSeconds: 9, maxSeconds: 8 } } },
      undefined,
      ['spec.retry.backoff.baseSeconds: baseSeconds must not be more than maxSeconds'],
    ],
    [
      'a queue that escalates to itself',
      { retry: { outOfMemory: { escalateTo: 'mail' } } },
      undefined,
      ['spec.retry.outOfMemory.escalateTo: escalateTo must name another TaskQueue'],
    ],
    [
      'a queue that escalates to another',
      { retry: { outOfMemory: { escalateTo: 'mail-big' } } },
      undefined,
      [],
    ],
    [
      'another name in Redis',
      { queueName: 'b' },
      { queueName: 'a' },
      ['spec.queueName: queueName cannot be changed'],
    ],
    ['a name in Redis taken away', {}, { queueName: 'a' }, ['spec.queueName: queueName cannot be changed']],
    ['the same name in Redis', { queueName: 'a' }, { queueName: 'a' }, []],
  ]
  test.each(rows)('rules: %s', (_, spec, old, messages) => {
    const before = old && taskQueueManifest(old)
    const problems = brokenRules(schemas.TaskQueue, taskQueueManifest(spec), before)
    expect(problems.map(({ message }) => message)).toEqual(messages)
  })
})

describe('a WorkerPool', () => {
  test('has defaults that let it scale from none, with a fork for every job', () => {
    const { template: _, metadata, ...pool } = workerPool()
    expect(metadata).toEqual({ name: 'mailers', namespace: 'default' })
    expect(pool).toEqual({
      queues: [{ name: 'mail', weight: 1 }],
      slots: 1,
      isolation: { mode: 'Fork' },
      scaling: {
        mode: 'Automatic',
        manualReplicas: 0,
        minReplicas: 0,
        maxReplicas: 10,
        target: { type: 'Concurrency' },
        scaleUp: { stabilizationWindowMs: 0, selectPolicy: 'Max', policies: [] },
        scaleDown: { stabilizationWindowMs: 60_000, selectPolicy: 'Max', policies: [] },
      },
      drainTimeoutMs: 600_000,
      rollout: { maxSurge: '25%', maxUnavailable: 0, progressDeadlineMs: 600_000 },
    })
  })

  test('is read into milliseconds and bytes', () => {
    const pool = workerPool({
      isolation: { mode: 'Reuse', maxMemory: '512Mi', reuse: { jobsPerChild: 9 } },
      scaling: {
        target: { type: 'Latency', latency: { maxWaitSeconds: 2 } },
        behavior: { scaleUp: { policies: [{ type: 'Pods', value: 2, periodSeconds: 15 }] } },
      },
    })
    expect(pool.isolation).toEqual({ mode: 'Reuse', jobsPerChild: 9, maxMemoryBytes: 512 * 2 ** 20 })
    expect(pool.scaling.target).toEqual({ type: 'Latency', maxWaitMs: 2000 })
    expect(pool.scaling.scaleUp.policies).toEqual([{ type: 'Pods', value: 2, periodMs: 15_000 }])
  })

  const pod = (spec: object) => ({ template: { spec: { ...template.spec, ...spec } } })
  const manual = { scaling: { mode: 'Manual' } }
  const rows: [string, object, object | undefined, string[]][] = [
    [
      'settings of Reuse in the default mode',
      { isolation: { reuse: { jobsPerChild: 3 } } },
      undefined,
      ['spec.isolation.reuse: reuse needs mode Reuse'],
    ],
    [
      'settings of Reuse with Reuse',
      { isolation: { mode: 'Reuse', reuse: { jobsPerChild: 3, jobsAtOnce: 2 } } },
      undefined,
      [],
    ],
    [
      'a minimum above the maximum',
      { scaling: { minReplicas: 11 } },
      undefined,
      ['spec.scaling.minReplicas: minReplicas must not be more than maxReplicas'],
    ],
    [
      'Latency without its settings',
      { scaling: { target: { type: 'Latency' } } },
      undefined,
      ['spec.scaling.target.latency: latency is needed with type Latency, and only there'],
    ],
    [
      'settings of Latency without Latency',
      { scaling: { target: { latency: { maxWaitSeconds: 3 } } } },
      undefined,
      ['spec.scaling.target.latency: latency is needed with type Latency, and only there'],
    ],
    [
      'no container called worker',
      pod({ containers: [{ name: 'main' }] }),
      undefined,
      ['spec.template.spec.containers: one container must be called worker'],
    ],
    [
      'a grace period of its own',
      pod({ terminationGracePeriodSeconds: 5 }),
      undefined,
      [
        'spec.template.spec.terminationGracePeriodSeconds: set spec.drain.timeoutSeconds; the operator derives terminationGracePeriodSeconds from it',
      ],
    ],
    [
      'a variable of the operator',
      pod({ containers: [{ name: 'worker', env: [{ name: 'A' }, { name: 'MILLHAND_SLOTS', value: '1' }] }] }),
      undefined,
      [
        'spec.template.spec.containers[0].env[1].name: environment variables that begin with MILLHAND_ are set by the operator',
      ],
    ],
    ['another number, scaled by hand', { replicas: 3, ...manual }, { replicas: 1, ...manual }, []],
    [
      'another number while scaling by itself',
      { replicas: 3 },
      { replicas: 1 },
      [
        'spec.replicas: the pool scales automatically; set spec.scaling.mode to Manual before or together with spec.replicas',
      ],
    ],
    ['another number on the way to Manual', { replicas: 3, ...manual }, { replicas: 1 }, []],
  ]
  test.each(rows)('rules: %s', (_, spec, old, messages) => {
    const before = old && workerPoolManifest(old)
    const problems = brokenRules(schemas.WorkerPool, workerPoolManifest(spec), before)
    expect(problems.map(({ message }) => message)).toEqual(messages)
  })
})

describe('a Schedule', () => {
  test('makes up for one missed run of the last hour, and lets runs overlap', () => {
    const { metadata, queue, spec } = schedule({ cron: '0 8 * * *' })
    expect([metadata, queue]).toEqual([{ name: 'nightly', namespace: 'default' }, 'mail'])
    expect(spec).toEqual({
      ...{ cron: '0 8 * * *', task: 'digest', suspend: false, overlap: 'Allow', jitterMs: 0 },
      missed: { maxRuns: 1, withinMs: 3_600_000 },
    })
  })

  test('is read into milliseconds, with the options of its jobs', () => {
    const { spec } = schedule({
      ...{ everySeconds: 90, input: ['all', null], suspend: true, overlap: 'Forbid', jitterSeconds: 7 },
      missed: { withinSeconds: 60 },
      job: { key: 'a', tags: ['b'], priority: 'high', maxAttempts: 2, timeoutSeconds: 30 },
    })
    expect(spec).toEqual({
      ...{ everyMs: 90_000, task: 'digest', input: ['all', null], suspend: true, overlap: 'Forbid' },
      ...{ missed: { maxRuns: 1, withinMs: 60_000 }, jitterMs: 7_000 },
      options: { key: 'a', tags: ['b'], priority: 'high', maxAttempts: 2, timeoutMs: 30_000 },
    })
  })

  test('takes each form of times that its queue takes', () => {
    for (const times of [{ cron: '@hourly' }, { cron: '*/5 8-18 1,15 JAN-JUN MON' }, { everySeconds: 1 }])
      expect(() => checkSchedule('nightly', schedule(times).spec)).not.toThrow()
  })
})

test('what a worker and a client refuse is what the CRDs refuse: slots, jobs at once in a child, bytes of a payload', () => {
  const most = (kind: keyof typeof crds, field: string) =>
    [...nodesOf(crds[kind])].find(({ path }) => path[0] === 'spec' && path.at(-1) === field)?.schema.maximum
  expect([most('WorkerPool', 'slots'), most('WorkerPool', 'jobsAtOnce')]).toEqual([MOST_SLOTS, MOST_SLOTS])
  const broken = (maxPayload: number) =>
    brokenRules(schemas.TaskQueue, taskQueueManifest({ limits: { maxPayload } }))
  expect(broken(MAX_PAYLOAD_BYTES)).toEqual([])
  expect(broken(MAX_PAYLOAD_BYTES + 1)).toHaveLength(1)
})
