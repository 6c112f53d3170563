// Everything that can be wrong with a queue or a pool: a condition with a stable reason and a sentence, an Event, and no hot loop.
import { dirname } from 'node:path'
import { withPools } from '../../../cli/src/asking-pools.ts'
import { readConfig } from '../../../cli/src/config.ts'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { denying, POLICIES, type Rule } from './admission.ts'
import { type KubeJson, openScene, type Scene, taskQueue } from './scene.ts'

const MINUTE = { withinMs: 60_000, everyMs: 250 }
/** A container that ends at once is started a third time after half a minute, and later on a busy machine. */
const CRASH_LOOP = { withinMs: 150_000, everyMs: 250 }

/** A template that the API server refuses. */
const ODD = { spec: { dnsPolicy: 'Sometimes', containers: [{ name: 'worker', image: 'a' }] } }

/** host:port of the API server, as the operator's kubeconfig has it. */
async function serversOf({ cluster }: Scene): Promise<string[]> {
  const { clusters } = JSON.parse(await cluster.kubectl(['config', 'view', '-o', 'json']))
  return clusters.map((each: KubeJson) => new URL(each.cluster.server).host)
}

onCluster('what is wrong is said', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene('conditions', {
      variables: { MILLHAND_REDIS_SECRETS: 'millhand-redis,other-redis,api-server,metadata' },
    })
    await scene.apply(taskQueue('good'))
    await turns('tq', 'good', 'Ready', 'True')
  }, 3_600_000)
  afterAll(() => scene?.remove(), 60_000)

  /** Waits for the status of a condition, and answers the condition. */
  const turns = (
    kind: string,
    name: string,
    type: string,
    status: string,
    reason?: string,
  ): Promise<KubeJson> =>
    eventually(
      async () => {
        const found = await scene.condition(kind, name, type)
        return found?.status === status && (!reason || found.reason === reason) && found
      },
      { ...CRASH_LOOP, what: `${type}=${status} ${reason ?? ''} of ${kind} ${name}` },
    )
  const told = (name: string, reason: string) =>
    eventually(
      async () => {
        const { items } = await scene.get('events.events.k8s.io')
        return items.some((event: KubeJson) => event.regarding.name === name && event.reason === reason)
      },
      { ...MINUTE, what: `an Event ${reason} of ${name}` },
    )
  const fails = async (name: string, reason: string) => {
    await turns('wp', name, 'Stalled', 'True', reason)
    expect(kstatusOf(await scene.get('wp', name))).toBe('Failed')
  }
  /** A pool whose one pod is wanted whatever there is to do. */
  const poolOfOne = (name: string, worker: object = {}, spec: object = {}) =>
    scene.pool(name, { queues: [{ name: 'good' }], scaling: { minReplicas: 1 }, ...spec }, worker)
  /** As `millhand why --context` says it. */
  const whyOf = async (id: string, queue: string): Promise<string> => {
    const { kubectlProgram, kubeconfig } = scene.cluster
    const config = readConfig({ KUBECONFIG: kubeconfig, PATH: dirname(kubectlProgram) })
    const notes: string[] = []
    const found = await eventually(async () => (await scene.queue(queue)).why(id), MINUTE)
    const asked = { namespace: scene.namespace, queue, id }
    const context = { config, workingFolder: '/', note: (text: string) => void notes.push(text) }
    const { causes } = await withPools(found, asked, { context: true }, context)
    return [...causes.map(({ text }) => text), ...notes].join('\n')
  }
  const secret = (name: string, url: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name },
    stringData: { url },
  })

  test('a queue without its Secret, until it is there', async () => {
    const namespace = await scene.cluster.newNamespace('secretless')
    const operator = await scene.startOperator({
      MILLHAND_WATCH_NAMESPACES: namespace,
      MILLHAND_OPERATOR_NAMESPACE: namespace,
    })
    const apply = (object: object) =>
      scene.cluster.kubectl(['apply', '-n', namespace, '-f', '-'], { stdin: JSON.stringify(object) })
    const ready = async () =>
      JSON.parse(
        await scene.cluster.kubectl(['get', '-n', namespace, 'tq', 'mail', '-o', 'json']),
      ).status?.conditions?.find((condition: KubeJson) => condition.type === 'Ready')
    await apply(taskQueue('mail'))
    const missing = await eventually(ready, MINUTE)
    expect(missing).toMatchObject({ status: 'False', reason: 'RedisSecretMissing' })
    expect(missing.message).toContain(`Secret millhand-redis not found in the namespace ${namespace}`)
    await apply(secret('millhand-redis', `redis://redis.${scene.namespace}:6379`))
    await eventually(async () => (await ready())?.status === 'True', MINUTE)
    await operator.stop()
    await scene.cluster.deleteNamespace(namespace)
  }, 120_000)

  test('a Secret that the operator may not read', async () => {
    await scene.apply(
      secret('of-somebody-else', 'redis://somewhere'),
      taskQueue('foreign', { redis: { secretRef: { name: 'of-somebody-else' } } }),
    )
    const { message } = await turns('tq', 'foreign', 'Ready', 'False', 'SecretNotAllowed')
    expect(message).toContain('may not read the Secret of-somebody-else, only millhand-redis, other-redis')
    await told('foreign', 'SecretNotAllowed')
    await turns('tq', 'foreign', 'Stalled', 'True', 'SecretNotAllowed')
  }, 90_000)

  test('a name in Redis that another queue has, and who took it over with consent', async () => {
    const queueName = `${scene.namespace}.shared`
    await scene.apply(taskQueue('first', { queueName }))
    await turns('tq', 'first', 'Ready', 'True')
    await scene.apply(taskQueue('second', { queueName }))
    const { message } = await turns('tq', 'second', 'Ready', 'False', 'NameTaken')
    expect(message).toContain(`${queueName} belongs to another owner`)
    await told('second', 'NameTaken')
    await scene.apply(scene.pool('second', { queues: [{ name: 'second' }] }))
    await turns('wp', 'second', 'Ready', 'False', 'QueueNotReady')

    await scene.cluster.kubectl(['-n', scene.namespace, 'delete', 'tq', 'first'])
    await turns('tq', 'second', 'Ready', 'True')
    await turns('wp', 'second', 'Ready', 'True')
  }, 120_000)

  test('a pool whose queue does not exist, until it does', async () => {
    await scene.apply(scene.pool('early'))
    const { message } = await turns('wp', 'early', 'Ready', 'False', 'QueueNotFound')
    expect(message).toContain('TaskQueue early not found')
    await told('early', 'QueueNotFound')
    await scene.apply(taskQueue('early'))
    await turns('wp', 'early', 'Ready', 'True')
  }, 90_000)

  test('queues in different Redis servers', async () => {
    await scene.apply(
      secret('other-redis', `redis://redis.${scene.namespace}:6379`),
      taskQueue('elsewhere', { redis: { secretRef: { name: 'other-redis' } } }),
      scene.pool('split', { queues: [{ name: 'good' }, { name: 'elsewhere' }] }),
    )
    const { message } = await turns('wp', 'split', 'Ready', 'False', 'QueuesInDifferentRedis')
    expect(message).toContain('(millhand-redis, other-redis)')
  }, 90_000)

  test('a Deployment of the same name that is somebody else’s, and is not touched', async () => {
    const labels = { app: 'web' }
    const container = { name: 'web', image: 'example/web', securityContext: {} }
    await scene.apply({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'web' },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [container] } },
      },
    })
    const before = await scene.get('deployment', 'web')
    await scene.apply(poolOfOne('web'))
    await turns('wp', 'web', 'Ready', 'False', 'NameTaken')
    await told('web', 'NameTaken')
    const after = await scene.get('deployment', 'web')
    expect(after.spec).toEqual(before.spec)
    expect(after.metadata.ownerReferences).toBeUndefined()
    await scene.cluster.kubectl(['-n', scene.namespace, 'delete', 'deployment', 'web'])
    await turns('wp', 'web', 'Ready', 'True')
  }, 120_000)

  test('a template that the API server refuses, without asking it again and again', async () => {
    await scene.apply(poolOfOne('odd', {}, { template: ODD }))
    const { message } = await turns('wp', 'odd', 'Ready', 'False', 'InvalidTemplate')
    expect(message).toContain('Sometimes')
    await told('odd', 'InvalidTemplate')
    await scene.apply(taskQueue('stuck'), scene.pool('stuck', { queues: [{ name: 'stuck' }], template: ODD }))
    await turns('tq', 'stuck', 'Ready', 'True')
    const [id = ''] = await scene.enqueue('stuck', 'succeeds', [null])
    expect(await whyOf(id, 'stuck')).toContain('WorkerPool stuck: ')
    const refusals = () =>
      scene.operator.lines.filter(
        (line) => line.message.includes('refuses a Deployment') && line.pool === 'odd',
      )
    const asked = refusals().length
    await scene.apply(taskQueue('good', { timeoutSeconds: 30 }))
    await eventually(async () => (await scene.get('tq', 'good')).status.observedGeneration > 1, MINUTE)
    expect(refusals().length).toBe(asked)
    await scene.apply(poolOfOne('odd'))
    await turns('wp', 'odd', 'Ready', 'True')
  }, 120_000)

  test('a number of pods that a policy refuses, without asking for it again and again', async () => {
    const name = `few-${scene.namespace}`
    const few = (minReplicas: number) => poolOfOne('few', {}, { scaling: { minReplicas } })
    const replicas = async () => (await scene.get('deployment', 'few')).spec.replicas
    const refusals = () =>
      scene.operator.lines.filter(
        (line) => line.message.includes('refuses a Deployment') && line.pool === 'few',
      ).length
    await scene.apply(few(1))
    await eventually(async () => (await replicas()) === 1, MINUTE)
    try {
      await scene.apply(...denying(name, scene.namespace, atMostOne))
      const scale = ['-n', scene.namespace, 'scale', 'deployment/few', '--replicas=2', '--dry-run=server']
      const isRefused = () =>
        scene.cluster.kubectl(scale).then(
          () => false,
          () => true,
        )
      await eventually(isRefused, { ...MINUTE, what: 'a policy that is known' })
      await scene.apply(few(3))
      const { message } = await turns('wp', 'few', 'Ready', 'False', 'InvalidTemplate')
      expect(message).toContain('one is enough')
      await new Promise((resolve) => setTimeout(resolve, 5_000))
      expect(refusals()).toBe(2) // With the template, and the number alone.
      expect(await replicas()).toBe(1)
    } finally {
      await scene.cluster.kubectl(['delete', POLICIES, name])
    }
    // Another number is another question, also while the API server still knows the policy.
    let number = 2
    await eventually(
      async () => {
        await scene.apply(few(number++))
        return (await replicas()) > 1
      },
      { ...MINUTE, everyMs: 2_000 },
    )
  }, 180_000)

  test('a template of the wrong shape', async () => {
    await scene.apply(
      poolOfOne(
        'shapeless',
        {},
        { template: { spec: { hostAliases: 'none', containers: [{ name: 'worker', image: 'a' }] } } },
      ),
    )
    await turns('wp', 'shapeless', 'Ready', 'False', 'InvalidTemplate')
  }, 90_000)

  test('an image that cannot be pulled', async () => {
    await scene.apply(poolOfOne('imageless', { image: 'millhand.test/no-such:1', imagePullPolicy: 'Never' }))
    const { message } = await turns('wp', 'imageless', 'Ready', 'False', 'ImagePullBackOff')
    expect(message).toContain('container worker of pod imageless-')
    await told('imageless', 'ImagePullBackOff')
    await fails('imageless', 'ImagePullBackOff')
  }, 90_000)

  test('a container that cannot be made', async () => {
    const env = [{ name: 'TOKEN', valueFrom: { secretKeyRef: { name: 'nowhere', key: 'token' } } }]
    await scene.apply(poolOfOne('uncreated', { env }))
    const { message } = await turns('wp', 'uncreated', 'Ready', 'False', 'CreateContainerConfigError')
    expect(message).toContain('nowhere')
    await fails('uncreated', 'CreateContainerConfigError')
  }, 90_000)

  test('workers that end again and again', async () => {
    await scene.apply(poolOfOne('crashing', { args: ['no-such-file.js'] }))
    const { message } = await turns('wp', 'crashing', 'Ready', 'False', 'CrashLoopBackOff')
    expect(message).toContain('invalid settings or task files')
    await fails('crashing', 'CrashLoopBackOff')
  }, 240_000)

  test('pods that pod security refuses', async () => {
    const securityContext = { runAsNonRoot: false, runAsUser: 0 }
    await scene.apply(poolOfOne('rootful', { securityContext }))
    const { message } = await turns('wp', 'rootful', 'Ready', 'False', 'FailedCreate')
    expect(message).toContain('PodSecurity')
    await told('rootful', 'FailedCreate')
    await fails('rootful', 'FailedCreate')
  }, 90_000)

  test('pods that a quota refuses, beside those that work', async () => {
    const name = `few-of-${scene.namespace}`
    const ofThese = { scopeName: 'PriorityClass', operator: 'In', values: [name] }
    await scene.apply(
      { apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name }, value: 0 },
      {
        apiVersion: 'v1',
        kind: 'ResourceQuota',
        metadata: { name },
        spec: { hard: { pods: '1' }, scopeSelector: { matchExpressions: [ofThese] } },
      },
    )
    const pool = poolOfOne('many', {}, { scaling: { minReplicas: 2 } }) as KubeJson
    pool.spec.template.spec.priorityClassName = name
    await scene.apply(pool)
    const { message } = await turns('wp', 'many', 'Ready', 'False', 'FailedCreate')
    expect(message).toContain('exceeded quota')
    await told('many', 'FailedCreate')
    await fails('many', 'FailedCreate')
    await scene.cluster.kubectl(['-n', scene.namespace, 'delete', 'resourcequota', name])
    await turns('wp', 'many', 'Ready', 'True')
    await scene.cluster.kubectl(['delete', 'priorityclass', name])
  }, 240_000)

  test.each([
    ['deployments', 'ApiServerFails'],
    ['pods', 'FailedCreate'],
  ])(
    'a webhook for %s that is down, until it is gone',
    async (resource, reason) => {
      const pool = `hooked-${resource}`
      const name = `${pool}-in-${scene.namespace}`
      await scene.apply(webhookThatIsDown(name, { namespace: scene.namespace, pool, resource }))
      try {
        await scene.apply(poolOfOne(pool))
        const { message } = await turns('wp', pool, 'Ready', 'False', reason)
        expect(message).toContain('failed calling webhook "down.millhand.test"')
        await told(pool, reason)
      } finally {
        await scene.cluster.kubectl(['delete', 'validatingwebhookconfiguration', name])
      }
      await turns('wp', pool, 'Ready', 'True')
    },
    240_000,
  )

  test('pods for which there is no room', async () => {
    await scene.apply(poolOfOne('huge', { resources: { requests: { cpu: '1000' } } }))
    const { message } = await turns('wp', 'huge', 'Ready', 'False', 'Unschedulable')
    expect(message).toContain('Insufficient cpu')
  }, 90_000)

  test('a Redis URL that leads to the API server or to a metadata service', async () => {
    const [server] = await serversOf(scene)
    await scene.apply(
      secret('api-server', `redis://${server}`),
      secret('metadata', 'redis://169.254.169.254'),
      taskQueue('to-api-server', { redis: { secretRef: { name: 'api-server' } } }),
      taskQueue('to-metadata', { redis: { secretRef: { name: 'metadata' } } }),
    )
    const metadata = await turns('tq', 'to-metadata', 'Ready', 'False', 'RedisAddressDenied')
    expect(metadata.message).not.toContain('169.254')
    await turns('tq', 'to-api-server', 'Ready', 'False', 'RedisAddressDenied')
  }, 120_000)

  test('a Redis that keeps nothing on disk works, and is said not to suit', async () => {
    const suitable = await turns('tq', 'good', 'RedisSuitable', 'False', 'NotPersistent')
    expect(suitable.message).toMatch(
      /all jobs are lost when the server ends\. set appendonly: redis-cli CONFIG SET/,
    )
    await told('good', 'NotPersistent')
    expect((await scene.condition('tq', 'good', 'Ready')).status).toBe('True')
  }, 120_000)

  test('Redis away: the replicas stay, the condition says so, and all is well by itself when it is back', async () => {
    await scene.apply(taskQueue('held'), scene.pool('held', { scaling: { minReplicas: 2 } }))
    await turns('wp', 'held', 'Ready', 'True')
    await scene.cluster.kubectl(['-n', scene.namespace, 'scale', 'deployment/redis', '--replicas=0'])
    await turns('wp', 'held', 'RedisReachable', 'False', 'RedisUnreachable')
    await turns('wp', 'held', 'Ready', 'Unknown', 'RedisUnreachable')
    await turns('tq', 'held', 'Ready', 'Unknown', 'RedisUnreachable')
    await turns('wp', 'held', 'ScalingActive', 'Unknown', 'RedisUnreachable')
    expect((await scene.get('deployment', 'held')).spec.replicas).toBe(2)
    await scene.cluster.kubectl(['-n', scene.namespace, 'scale', 'deployment/redis', '--replicas=1'])
    await turns('wp', 'held', 'Ready', 'True')
    await turns('tq', 'held', 'Ready', 'True')
    await turns('wp', 'held', 'RedisReachable', 'True')
    expect((await scene.get('deployment', 'held')).spec.replicas).toBe(2)
  }, 180_000)
})

/** As Flux and others compute it of a custom resource: github.com/kubernetes-sigs/cli-utils, pkg/kstatus. */
function kstatusOf({ metadata, status }: KubeJson): 'InProgress' | 'Failed' | 'Current' {
  const is = (type: string, value: string) =>
    status?.conditions?.some((condition: KubeJson) => condition.type === type && condition.status === value)
  if (status?.observedGeneration !== metadata.generation || is('Reconciling', 'True')) return 'InProgress'
  if (is('Stalled', 'True')) return 'Failed'
  return is('Ready', 'True') ? 'Current' : 'InProgress'
}

const atMostOne: Rule = {
  matchConstraints: {
    resourceRules: [
      {
        apiGroups: ['apps'],
        apiVersions: ['v1'],
        operations: ['CREATE', 'UPDATE'],
        resources: ['deployments', 'deployments/scale'],
      },
    ],
  },
  validation: {
    expression: 'object.metadata.name != "few" || object.spec.replicas <= 1',
    message: 'one is enough',
  },
}

/** Its Service does not exist, and what it does not answer is refused. */
function webhookThatIsDown(
  name: string,
  { namespace, pool, resource }: { namespace: string; pool: string; resource: string },
) {
  const service = { name: 'nowhere', namespace, path: '/' }
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name },
    webhooks: [
      {
        name: 'down.millhand.test',
        clientConfig: { service },
        failurePolicy: 'Fail',
        sideEffects: 'None',
        admissionReviewVersions: ['v1'],
        namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } },
        objectSelector: { matchLabels: { 'millhand.dev/pool': pool } },
        rules: [
          {
            apiGroups: [resource === 'pods' ? '' : 'apps'],
            apiVersions: ['v1'],
            operations: ['CREATE'],
            resources: [resource],
          },
        ],
      },
    ],
  }
}
