// What the code says of a resource a second time is compared here with crds/*.yaml, its single source of truth.
import { defaultSettings, MAX_PAYLOAD_BYTES, MOST_SLOTS, queueName } from 'millhand/queue'
import { checkRules, type Rule } from '../../../control/src/resources/rules.ts'
import type { Schema } from '../../../control/src/resources/schema.ts'
import {
  defaultQueueName,
  queueSettings,
  TASK_QUEUE_RULES,
} from '../../../control/src/resources/task-queue.ts'
import { WORKER_POOL_RULES } from '../../../control/src/resources/worker-pool.ts'
import { crds, taskQueue, taskQueueManifest, template, workerPool, workerPoolManifest } from './crds.ts'

function* nodesOf(schema: Schema, path: string[] = []): Generator<{ schema: Schema; path: string[] }> {
  yield { schema, path }
  for (const [name, child] of Object.entries(schema.properties ?? {})) yield* nodesOf(child, [...path, name])
  if (schema.items) yield* nodesOf(schema.items, [...path, '[]'])
  if (typeof schema.additionalProperties === 'object')
    yield* nodesOf(schema.additionalProperties, [...path, '{}'])
}

describe.each(Object.entries(crds))('the CRD of %s', (kind, schema) => {
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

  test('states the same rules as the code, in the same places and words', () => {
    const rules: readonly Rule<never>[] = kind === 'TaskQueue' ? TASK_QUEUE_RULES : WORKER_POOL_RULES
    const inCrd = [...nodesOf(schema)].flatMap(({ schema: node, path }) =>
      (node['x-kubernetes-validations'] ?? []).map(({ message }) => `${path.join('.')}: ${message}`),
    )
    const inCode = rules.map(({ at, message }) => `${at.join('.')}: ${message}`)
    expect(inCode.sort()).toEqual(inCrd.sort())
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
      retry: { maxAttempts: 5, backoffSeconds: 1 },
      limits: { maxBusy: 4 },
      retention: { completed: { maxAgeSeconds: 10, maxCount: 5 } },
    })
    expect(queueSettings(queue, 'owner')).toEqual({
      ...defaultSettings,
      ownerUid: 'owner',
      suspended: true,
      timeoutMs: 60_000,
      maxAttempts: 5,
      backoffMs: 1000,
      maxBusy: 4,
      completedMaxAgeMs: 10_000,
      completedMaxCount: 5,
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
      { retry: { backoffSeconds: 9, maxBackoffSeconds: 8 } },
      undefined,
      ['backoffSeconds must not be more than maxBackoffSeconds'],
    ],
    ['another name in Redis', { queueName: 'b' }, { queueName: 'a' }, ['queueName cannot be changed']],
    ['a name in Redis taken away', {}, { queueName: 'a' }, ['queueName cannot be changed']],
    ['the same name in Redis', { queueName: 'a' }, { queueName: 'a' }, []],
  ]
  test.each(rows)('rules: %s', (_, spec, old, messages) => {
    const problems = checkRules(
      TASK_QUEUE_RULES,
      taskQueueManifest(spec).spec,
      old && taskQueueManifest(old).spec,
    )
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
      isolation: { mode: 'Reuse', maxMemory: '512Mi', jobsPerChild: 9 },
      scaling: {
        target: { type: 'Latency', latencySeconds: 2 },
        behavior: { scaleUp: { policies: [{ type: 'Pods', value: 2, periodSeconds: 15 }] } },
      },
    })
    expect(pool.isolation).toEqual({ mode: 'Reuse', jobsPerChild: 9, maxMemoryBytes: 512 * 2 ** 20 })
    expect(pool.scaling.target).toEqual({ type: 'Latency', latencyMs: 2000 })
    expect(pool.scaling.scaleUp.policies).toEqual([{ type: 'Pods', value: 2, periodMs: 15_000 }])
  })

  const pod = (spec: object) => ({ template: { spec: { ...template.spec, ...spec } } })
  const manual = { scaling: { mode: 'Manual' } }
  const rows: [string, object, object | undefined, string[]][] = [
    [
      'jobsPerChild without Reuse',
      { isolation: { jobsPerChild: 3 } },
      undefined,
      ['jobsPerChild needs mode Reuse'],
    ],
    [
      'jobsAtOncePerChild without Reuse',
      { isolation: { mode: 'Spawn', jobsAtOncePerChild: 3 } },
      undefined,
      ['jobsAtOncePerChild needs mode Reuse'],
    ],
    [
      'both with Reuse',
      { isolation: { mode: 'Reuse', jobsPerChild: 3, jobsAtOncePerChild: 2 } },
      undefined,
      [],
    ],
    [
      'a minimum above the maximum',
      { scaling: { minReplicas: 11 } },
      undefined,
      ['minReplicas must not be more than maxReplicas'],
    ],
    [
      'Latency without latencySeconds',
      { scaling: { target: { type: 'Latency' } } },
      undefined,
      ['latencySeconds is needed with type Latency, and only there'],
    ],
    [
      'latencySeconds without Latency',
      { scaling: { target: { latencySeconds: 3 } } },
      undefined,
      ['latencySeconds is needed with type Latency, and only there'],
    ],
    [
      'no container called worker',
      pod({ containers: [{ name: 'main' }] }),
      undefined,
      ['one container must be called worker'],
    ],
    [
      'a grace period of its own',
      pod({ terminationGracePeriodSeconds: 5 }),
      undefined,
      ['set spec.drain.timeoutSeconds; the operator derives terminationGracePeriodSeconds from it'],
    ],
    [
      'a variable of the operator',
      pod({ containers: [{ name: 'worker', env: [{ name: 'A' }, { name: 'MILLHAND_SLOTS', value: '1' }] }] }),
      undefined,
      ['environment variables that begin with MILLHAND_ are set by the operator'],
    ],
    ['another number, scaled by hand', { replicas: 3, ...manual }, { replicas: 1, ...manual }, []],
    [
      'another number while scaling by itself',
      { replicas: 3 },
      { replicas: 1 },
      [
        'the pool scales automatically; set spec.scaling.mode to Manual before or together with spec.replicas',
      ],
    ],
    ['another number on the way to Manual', { replicas: 3, ...manual }, { replicas: 1 }, []],
  ]
  test.each(rows)('rules: %s', (_, spec, old, messages) => {
    const problems = checkRules(
      WORKER_POOL_RULES,
      workerPoolManifest(spec).spec,
      old && workerPoolManifest(old).spec,
    )
    expect(problems.map(({ message }) => message)).toEqual(messages)
  })
})

test('what a worker and a client refuse is what the CRDs refuse: slots, jobs at once in a child, bytes of a payload', () => {
  const most = (kind: keyof typeof crds, field: string) =>
    [...nodesOf(crds[kind])].find(({ path }) => path[0] === 'spec' && path.at(-1) === field)?.schema.maximum
  expect([
    most('WorkerPool', 'slots'),
    most('WorkerPool', 'jobsAtOncePerChild'),
    most('TaskQueue', 'maxPayloadBytes'),
  ]).toEqual([MOST_SLOTS, MOST_SLOTS, MAX_PAYLOAD_BYTES])
})
