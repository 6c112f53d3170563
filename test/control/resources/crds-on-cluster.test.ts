// The CRDs on a real API server: what it takes, what it refuses and in which words, and that local mode judges alike.

import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { conditionsOf } from '../../../control/src/decide/report.ts'
import { brokenRules } from '../../../control/src/resources/cel.ts'
import type { Condition, ConditionStatus, ConditionType } from '../../../control/src/resources/conditions.ts'
import type { ScheduleStatus } from '../../../control/src/resources/schedule.ts'
import { checkAgainstSchema, type Schema } from '../../../control/src/resources/schema.ts'
import { KINDS } from '../../../control/src/resources/schemas.ts'
import type { TaskQueueStatus } from '../../../control/src/resources/task-queue.ts'
import type { WorkerPoolStatus } from '../../../control/src/resources/worker-pool.ts'
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onCluster } from '../../cluster/suites.ts'
import { crds, schemas } from './crds.ts'
import { bad, good, type Manifest, pool, queue, schedule } from './manifests.ts'

jest.setTimeout(60_000) // several calls of kubectl, on a machine that may be busy

describe('local mode', () => {
  test.each(good)('takes $shows', ({ manifest }) => {
    expect(checkLocally(manifest).problems).toEqual([])
  })

  test.each(bad)('refuses $rule', ({ manifest, local }) => {
    expect(checkLocally(manifest).problems.join('\n')).toContain(local)
  })
})

onCluster('the API server', () => {
  let cluster: SharedCluster
  let namespace: string
  beforeAll(async () => {
    cluster = await sharedCluster()
    namespace = await cluster.newNamespace('crds')
  }, 3_600_000)
  afterAll(() => cluster?.deleteNamespace(namespace))

  const kubectl = (...args: string[]) => cluster.kubectl(['--namespace', namespace, ...args])
  const give = (command: string, manifest: object, ...flags: string[]) =>
    cluster.kubectl([...command.split(' '), '--namespace', namespace, '-f', '-', ...flags], {
      stdin: JSON.stringify(manifest),
    })
  const apply = (manifest: object, ...flags: string[]) => give('apply --server-side', manifest, ...flags)

  test.each(good)('takes $shows and fills in the defaults that local mode fills in', async ({ manifest }) => {
    const taken = JSON.parse(await apply(manifest, '--dry-run=server', '--output=json'))
    expect(taken.spec).toEqual(checkLocally(manifest).spec)
  })

  test.each([queue(), pool(), schedule()])(
    'says of a new $kind that no operator has looked at it',
    async (manifest) => {
      const { kind } = manifest
      await apply(called('new', manifest))
      const status = await kubectl('get', kind, 'new', '--output=jsonpath={.status}')
      expect(JSON.parse(status)).toEqual({ observedGeneration: -1 })
      await kubectl('delete', kind, 'new')
    },
  )

  test.each(good)('finds $shows unchanged when a person applies it again', async ({ manifest }) => {
    const again = called(`again-${Math.random().toString(36).slice(2)}`, manifest)
    await give('apply', again)
    expect(await give('apply', again)).toMatch(/ unchanged\n$/)
    // Without a difference it prints nothing and does not fail.
    expect(await give('diff', again)).toBe('')
  })

  test.each(good)(
    'finds $shows as it was applied, as Argo CD compares it on the server',
    async ({ manifest }) => {
      const synced = called(`synced-${Math.random().toString(36).slice(2)}`, manifest)
      const argo = ['--field-manager=argocd-controller', '--force-conflicts', '--output=json']
      const live = JSON.parse(await apply(synced, ...argo))
      // What an operator writes is no difference either.
      const status = statusOf[synced.kind](synced.metadata.name)
      await apply(status, '--subresource=status', '--field-manager=millhand', '--force-conflicts')
      const predicted = JSON.parse(await apply(synced, ...argo, '--dry-run=server'))
      expect({ ...predicted.metadata, managedFields: [], resourceVersion: '' }).toEqual({
        ...live.metadata,
        managedFields: [],
        resourceVersion: '',
      })
      expect(predicted.spec).toEqual(live.spec)
      expect(await give('diff --server-side', synced, ...argo.slice(0, 2))).toBe('')
    },
  )

  test('finds its CRDs unchanged when a person applies them again', async () => {
    const folder = fileURLToPath(new URL('../../../crds', import.meta.url))
    await cluster.kubectl(['apply', '-f', folder])
    const lines = (await cluster.kubectl(['apply', '-f', folder])).trim().split('\n')
    expect(lines.map((line) => line.split(' ').at(-1))).toEqual(['unchanged', 'unchanged', 'unchanged'])
    expect(await cluster.kubectl(['diff', '-f', folder])).toBe('')
  })

  test.each(bad)('refuses $rule', async ({ manifest, with: command, server }) => {
    const tried = give(COMMANDS[command], manifest, '--dry-run=server')
    await expect(tried).rejects.toThrow(server)
  })

  test('refuses a template that is too large for it where no bound of ours applies', async () => {
    const large = { ip: '10.0.0.1', hostnames: ['x'.repeat(1_700_000)] }
    const spec = { containers: [{ name: 'worker' }], hostAliases: [large] }
    await expect(apply(called('large', pool({ template: { spec } })))).rejects.toThrow(/too large/i)
  })

  test('lets nobody change the name of a queue in Redis', async () => {
    const named = (queueName?: string) => called('named', queue(queueName ? { queueName } : {}))
    await apply(named('shop.mail'))
    await expect(apply(named('shop.letters'))).rejects.toThrow('queueName cannot be changed')
    await expect(apply(named())).rejects.toThrow('queueName cannot be changed')
    await apply({ ...named('shop.mail'), spec: { queueName: 'shop.mail', suspend: true } })

    await apply(called('nameless', queue()))
    const late = apply(called('nameless', queue({ queueName: 'shop.late' })))
    await expect(late).rejects.toThrow('queueName cannot be changed')
  })

  test('scales a pool by hand only when it is Manual, and says so', async () => {
    const automatic = called('scaled', pool())
    const manual = (replicas: number) => called('scaled', pool({ replicas, scaling: { mode: 'Manual' } }))
    const replicas = () => kubectl('get', 'wp', 'scaled', '-o', 'jsonpath={.spec.replicas}')
    await apply(automatic)
    const remedy = 'set spec.scaling.mode to Manual before or together with spec.replicas'
    await expect(kubectl('scale', 'wp/scaled', '--replicas=3')).rejects.toThrow(remedy)

    await apply(manual(2))
    expect(await replicas()).toBe('2')
    await kubectl('scale', 'wp/scaled', '--replicas=5')
    expect(await replicas()).toBe('5')
    // Back again in one step, whatever the number is by then.
    await apply(automatic, '--force-conflicts')
    await expect(kubectl('scale', 'wp/scaled', '--replicas=0')).rejects.toThrow(remedy)
  })

  test('answers a HorizontalPodAutoscaler: replicas wanted and seen, and the selector', async () => {
    await apply(called('measured', pool({ replicas: 4, scaling: { mode: 'Manual' } })))
    await apply(ofPool('measured'), '--subresource=status')
    const path = `/apis/millhand.dev/v1beta1/namespaces/${namespace}/workerpools/measured/scale`
    const { spec, status } = JSON.parse(await cluster.kubectl(['get', '--raw', path]))
    expect({ spec, status }).toEqual({
      spec: { replicas: 4 },
      status: { replicas: 3, selector: 'millhand.dev/pool=measured' },
    })
  })

  test('shows what matters in columns, and waits for conditions', async () => {
    await apply(called('shown', queue({ limits: { maxBusy: 7 } })))
    await apply(called('shown', pool()))
    await apply(called('shown', schedule()))
    await expect(kubectl('wait', '--for=condition=Ready', 'tq/shown', '--timeout=0')).rejects.toThrow()
    await apply(ofQueue('shown'), '--subresource=status')
    await apply(ofPool('shown'), '--subresource=status')
    await apply(ofSchedule('shown'), '--subresource=status')

    await kubectl('wait', '--for=condition=Ready', 'tq/shown', 'wp/shown', 'sched/shown', '--timeout=10s')
    await kubectl('wait', '--for=condition=ScalingLimited=False', 'wp/shown', '--timeout=10s')
    expect(await columns('tq')).toMatchObject({
      READY: 'True',
      WAITING: '12',
      BUSY: '3',
      DELAYED: '4',
      BURIED: '1',
      SUSPENDED: 'False',
      REASON: 'Progressing',
      'MAX BUSY': '7',
      AGE: expect.stringMatching(/^\d+s$/),
    })
    expect(await columns('wp')).toMatchObject({
      READY: 'True',
      DESIRED: '4',
      PODS: '3',
      'READY PODS': '2',
      BUSY: '5',
      DRAINING: '1',
      MIN: '0',
      MAX: '10',
      'FIRST QUEUE': 'mail',
      MODE: 'Automatic',
      TERMINATING: '6',
      DECISION: 'Concurrency',
      REASON: 'Progressing',
      AGE: expect.stringMatching(/^\d+s$/),
    })
    expect(await columns('sched')).toMatchObject({
      QUEUE: 'mail',
      CRON: '0 8 * * 1-5',
      NEXT: '2126-11-23T08:00:00Z',
      LAST: expect.stringMatching(/^\d+[smhdy]/),
      OUTCOME: 'completed',
      SUSPENDED: 'False',
      READY: 'True',
      'TIME ZONE': '',
      TASK: 'digest',
      REASON: 'Progressing',
      AGE: expect.stringMatching(/^\d+s$/),
    })
    const all = await kubectl('get', 'millhand', '-o', 'name')
    for (const kind of KINDS) expect(all).toContain(`${kind.toLowerCase()}.millhand.dev/shown`)
  })

  async function columns(resource: string): Promise<Record<string, string>> {
    const [names = '', values = ''] = (await kubectl('get', resource, 'shown', '-o', 'wide')).split('\n')
    const starts = [...names.matchAll(/\S+( \S+)*/g)].map(({ index, 0: name }) => ({ index, name }))
    return Object.fromEntries(
      starts.map(({ index, name }, at) => [name, values.slice(index, starts[at + 1]?.index).trim()]),
    )
  }

  test('refuses a status with a field that nobody documented', async () => {
    await apply(called('strict', pool()))
    const status = { ...ofPool('strict'), status: { replica: 1 } }
    await expect(apply(status, '--subresource=status')).rejects.toThrow('.status.replica: field not declared')
  })

  test('keeps the containers and variables of two owners of one template', async () => {
    const shared = (containers: object[]) => called('shared', pool({ template: { spec: { containers } } }))
    const owners = {
      team: [{ name: 'worker', image: 'example/mail:1', env: [{ name: 'A', value: '1' }] }],
      platform: [
        { name: 'worker', env: [{ name: 'B', value: '2' }] },
        { name: 'proxy', image: 'example/proxy:1' },
      ],
    }
    for (const owner of ['team', 'platform', 'team'] as const)
      await apply(shared(owners[owner]), `--field-manager=${owner}`)
    const { spec } = JSON.parse(await kubectl('get', 'wp', 'shared', '-o', 'json'))
    expect(spec.template.spec.containers).toEqual([
      {
        name: 'worker',
        image: 'example/mail:1',
        env: [
          { name: 'A', value: '1' },
          { name: 'B', value: '2' },
        ],
      },
      { name: 'proxy', image: 'example/proxy:1' },
    ])
  })

  describe.each(Object.entries(crds))('explains of a %s', (kind, schema) => {
    test('every field, down to the last one', async () => {
      const listed = fieldsListed(await cluster.kubectl(['explain', kind.toLowerCase(), '--recursive']))
      const declared = fieldsOf(schema).map(({ path }) => path)
      expect(declared.length).toBeGreaterThan(30)
      expect(declared.filter((path) => !listed.has(path))).toEqual([])
    })

    // What `kubectl explain` prints of a field is its description in this document.
    test('every field in a sentence', async () => {
      const path = '/openapi/v3/apis/millhand.dev/v1beta1'
      const { components } = JSON.parse(await cluster.kubectl(['get', '--raw', path]))
      const published = fieldsOf(components.schemas[`dev.millhand.v1beta1.${kind}`])
      expect(published.map((field) => field.path)).toEqual(
        expect.arrayContaining(fieldsOf(schema).map((field) => field.path)),
      )
      const bare = published.filter(({ description = '' }) => !/^[A-Z]\w*[,:]?( \S+){3}/.test(description))
      expect(bare.map((field) => field.path)).toEqual([])
    })
  })

  test('explains the deepest field', async () => {
    const field = 'workerpool.spec.template.spec.containers.env.valueFrom.secretKeyRef.optional'
    const words = (await cluster.kubectl(['explain', field])).replaceAll(/\s+/g, ' ')
    expect(words).toContain('Whether the pod may start when the Secret or its key is missing.')
  })
})

const COMMANDS = { apply: 'apply --server-side', create: 'create --validate=strict' } as const

function called(name: string, manifest: Manifest): Manifest {
  return { ...manifest, metadata: { name } }
}

/** All that the operator says of a queue. */
function ofQueue(name: string) {
  const status: TaskQueueStatus = {
    observedGeneration: 1,
    queueName: 'shop.mail',
    layoutVersion: 1,
    observedAt: NOW,
    jobs: { ready: 12, blocked: 0, busy: 3, delayed: 4, buried: 1 },
    oldestReadyAt: NOW,
    conditions: conditions({ Ready: 'True', RedisReachable: 'True', Suspended: 'False', Stalled: 'False' }),
  }
  return { ...called(name, queue()), spec: undefined, status }
}

/** All that the operator says of a pool. */
function ofPool(name: string) {
  const status: WorkerPoolStatus = {
    observedGeneration: 1,
    replicas: 3,
    readyReplicas: 2,
    updatedReplicas: 1,
    desiredReplicas: 4,
    terminatingReplicas: 6,
    drainingReplicas: 1,
    busySlots: 5,
    slots: 8,
    selector: `millhand.dev/pool=${name}`,
    isolationInUse: ['Fork', 'Spawn'],
    lastScaleTime: NOW,
    decision: {
      reason: 'Concurrency',
      message: '4 replicas: 12 jobs ready or running, 4 slots per replica.',
    },
    conditions: conditions({
      Ready: 'True',
      Progressing: 'True',
      ScalingActive: 'True',
      ScalingLimited: 'False',
      RedisReachable: 'Unknown',
      Suspended: 'False',
      Stalled: 'False',
    }),
  }
  return { ...called(name, pool()), spec: undefined, status }
}

/** All that the operator says of a schedule. */
function ofSchedule(name: string) {
  const status: ScheduleStatus = {
    observedGeneration: 1,
    queueName: 'shop.mail',
    nextDueAt: '2126-11-23T08:00:00Z',
    last: {
      dueAt: '2026-11-22T08:00:00Z',
      firedAt: '2026-11-22T08:00:00Z',
      lateSeconds: 0,
      jobId: `${name}@1795420800000`,
      outcome: 'completed',
    },
    conditions: conditions({
      Ready: 'True',
      RedisReachable: 'True',
      Late: 'False',
      Suspended: 'False',
      Stalled: 'False',
    }),
  }
  return { ...called(name, schedule()), spec: undefined, status }
}

const statusOf = { TaskQueue: ofQueue, WorkerPool: ofPool, Schedule: ofSchedule }

const NOW = '2026-11-22T22:00:00.123Z'

function conditions(statuses: Partial<Record<ConditionType, ConditionStatus>>): Condition[] {
  const findings = Object.entries(statuses).map(([type, status]) => ({
    type: type as ConditionType,
    status,
    reason: 'Progressing' as const,
    message: 'All is as it should be.',
  }))
  return conditionsOf(findings, [], { generation: 1, now: NOW })
}

/** Every field of a schema as `kubectl explain` names it: items of lists and values of maps have no name of their own. */
function fieldsOf(schema: Schema, path = ''): { path: string; description?: string | undefined }[] {
  const { items, additionalProperties } = schema
  const inner = typeof additionalProperties === 'object' ? additionalProperties : items
  if (inner) return fieldsOf(inner, path)
  return Object.entries(schema.properties ?? {})
    .filter(([name]) => path || name !== 'metadata')
    .flatMap(([name, field]) => {
      const whole = path ? `${path}.${name}` : name
      return [{ path: whole, description: field.description }, ...fieldsOf(field, whole)]
    })
}

/** The fields in the output of `kubectl explain --recursive`, by their indentation. */
function fieldsListed(text: string): Set<string> {
  const lines = text.slice(text.indexOf('FIELDS:')).matchAll(/^( +)(\S+)\t</gm)
  const trail: string[] = []
  return new Set(
    [...lines].map(([, indent = '', name = '']) => {
      trail.splice(indent.length / 2 - 1, trail.length, name)
      return trail.join('.')
    }),
  )
}

/** As `millhand up` does: the schema first, then the rules. */
function checkLocally(manifest: Manifest): { spec: unknown; problems: string[] } {
  const { value, problems } = checkAgainstSchema(manifest, schemas[manifest.kind])
  if (problems.length > 0) return { spec: undefined, problems: problems.map(({ message }) => message) }
  const broken = brokenRules(schemas[manifest.kind], value)
  return { spec: (value as Manifest).spec, problems: broken.map(({ message }) => message) }
}
