// Whoever may write manifests in a namespace gets no further with a queue or a pool than with a Deployment of their own.
import { newJob, openQueue } from 'millhand/queue'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { ask, sumOf } from './asking.ts'
import { isTrouble, type KubeJson, type OperatorProcess, openScene, type Scene, taskQueue } from './scene.ts'

const MINUTE = { withinMs: 60_000, everyMs: 250 }
const LONG_JOB = { ms: 600_000 }
const behavior = { scaleDown: { stabilizationWindowSeconds: 1 } }

onCluster('a hostile author of manifests', () => {
  let scene: Scene
  /** Another team's, in the same Redis. */
  let other: string
  let operator: OperatorProcess
  beforeAll(async () => {
    scene = await openScene('hostile')
    other = await scene.cluster.newNamespace('other-team')
    await scene.operator.stop()
    operator = await scene.startOperator({
      MILLHAND_WATCH_NAMESPACES: `${scene.namespace},${other}`,
      MILLHAND_QUEUE_NAMES: 'shared.',
    })
    const tasks = await scene.get('configmap', 'tasks')
    await create(
      { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'tasks' }, data: tasks.data },
      other,
    )
    const stringData = { url: `redis://redis.${scene.namespace}:6379` }
    await create(
      { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'millhand-redis' }, stringData },
      other,
    )
    await create(taskQueue('mine'))
    await turns('tq/mine', 'Ready', 'True')
  }, 3_600_000)
  afterAll(async () => {
    await scene?.remove()
    await scene?.cluster.kubectl(['delete', 'namespace', other, '--ignore-not-found', '--wait=false'])
  }, 60_000)

  const kubectl = (args: string[], namespace = scene.namespace) =>
    scene.cluster.kubectl(['-n', namespace, ...args])
  const create = (object: object, namespace = scene.namespace, ...flags: string[]) =>
    scene.cluster.kubectl(['-n', namespace, 'create', '-f', '-', ...flags], { stdin: JSON.stringify(object) })
  const get = async (what: string, namespace = scene.namespace): Promise<KubeJson> =>
    JSON.parse(await kubectl(['get', what, '-o', 'json'], namespace))
  const podsOf = async (pool: string, namespace = scene.namespace): Promise<KubeJson[]> => {
    const args = ['get', 'pods', '-l', `millhand.dev/pool=${pool}`, '-o', 'json']
    return JSON.parse(await kubectl(args, namespace)).items
  }
  const turns = (what: string, type: string, status: string, { reason = '', namespace = '' } = {}) =>
    eventually(
      async (): Promise<KubeJson> => {
        const { conditions = [] } = (await get(what, namespace || scene.namespace)).status ?? {}
        const found = conditions.find((condition: KubeJson) => condition.type === type)
        return found?.status === status && (!reason || found.reason === reason) && found
      },
      { ...MINUTE, what: `${type}=${status} ${reason} of ${what}` },
    )
  /** One pod is wanted, whatever there is to do. */
  const poolOfOne = (name: string, podSpec: object, worker: object = {}) => {
    const pool = scene.pool(name, { queues: [{ name: 'mine' }], scaling: { minReplicas: 1 } }, worker)
    const { spec } = pool as KubeJson
    return { ...pool, spec: { ...spec, template: { spec: { ...spec.template.spec, ...podSpec } } } }
  }
  const metrics = async () => (await ask(scene.cluster, `http://127.0.0.1:${operator.port}/metrics`)).text
  const poolReconciles = async () =>
    sumOf(await metrics(), 'controller_runtime_reconcile_total', { controller: 'workerpool' })

  test.each([
    ['host-path', { volumes: [{ name: 'tasks', hostPath: { path: '/etc' } }] }, {}, /"hostPath"/],
    [
      'privileged',
      {},
      { securityContext: { privileged: true, allowPrivilegeEscalation: true } },
      /privileged/,
    ],
    ['host-network', { hostNetwork: true, hostPID: true }, {}, /host namespaces/],
    ['foreign-account', { serviceAccountName: 'admin' }, {}, /service account .*"admin" not found/],
  ])(
    'has no pod of a %s',
    async (name, podSpec, worker, why) => {
      await create(poolOfOne(name, podSpec, worker))
      const { message } = await turns(`wp/${name}`, 'Ready', 'False', { reason: 'FailedCreate' })
      expect(message).toMatch(why)
      expect(await podsOf(name)).toEqual([])
    },
    90_000,
  )

  test('cannot name a Secret of another namespace', async () => {
    const foreign = { name: 'millhand-redis', namespace: other }
    const queue = taskQueue('foreign', { redis: { secretRef: foreign } })
    await expect(create(queue)).rejects.toThrow('unknown field "spec.redis.secretRef.namespace"')
    await create(queue, scene.namespace, '--validate=false')
    expect((await get('tq/foreign')).spec.redis.secretRef).toEqual({ name: 'millhand-redis' })
    const path = taskQueue('path', { redis: { secretRef: { name: `../${other}/millhand-redis` } } })
    await expect(create(path)).rejects.toThrow('spec.redis.secretRef.name')

    const from = { name: 'TOKEN', valueFrom: { secretKeyRef: { ...foreign, key: 'url' } } }
    await create(poolOfOne('by-env', {}, { env: [from] }), scene.namespace, '--validate=false')
    await create(poolOfOne('by-env-from', {}, { envFrom: [{ secretRef: foreign }] }))
    await create(poolOfOne('by-volume', { volumes: [{ name: 'tasks', secret: foreign }] }))
    for (const name of ['by-env-from', 'by-volume'])
      await turns(`wp/${name}`, 'Ready', 'False', { reason: 'InvalidTemplate' })
    await eventually(() => get('deployment/by-env'), MINUTE)
    const made = (await get('deployments')).items
    expect(made.map(({ metadata }: KubeJson) => metadata.name)).not.toContain('by-env-from')
    expect(made.map(({ metadata }: KubeJson) => metadata.name)).not.toContain('by-volume')
    const specs = JSON.stringify(made.map(({ spec }: KubeJson) => spec))
    expect(specs).toContain('"TOKEN"')
    expect(specs).not.toContain(other)
  }, 120_000)

  test('cannot give pods labels that are Millhand’s', async () => {
    const template = { metadata: { labels: { 'millhand.dev/pool': 'mine' } }, spec: { containers: [] } }
    const { spec, ...pool } = poolOfOne('labelled', {}) as KubeJson
    const labelled = { ...pool, spec: { ...spec, template: { ...spec.template, ...template } } }
    await expect(create(labelled)).rejects.toThrow('labels under millhand.dev/ are set by the operator')
  }, 60_000)

  test('keeps nobody else waiting with a template of a megabyte', async () => {
    const env = Array.from({ length: 10 }, (_, index) => ({ name: `V${index}`, value: 'x'.repeat(100_000) }))
    await create(scene.pool('megabyte', { queues: [{ name: 'mine' }] }, { env }))
    await turns('wp/megabyte', 'Ready', 'True')
    await create(taskQueue('after'))
    await turns('tq/after', 'Ready', 'True')
  }, 90_000)

  /** A pod that nobody but its author made, with the labels of a pool. */
  const madeByHand = (name: string, pool: string, program: string) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      labels: { 'app.kubernetes.io/managed-by': 'millhand', 'millhand.dev/pool': pool },
    },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, runAsUser: 1000, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          name: 'worker',
          image: scene.workerImage,
          imagePullPolicy: 'IfNotPresent',
          command: ['node', '-e', program],
          securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
        },
      ],
    },
  })

  test('takes no job from a live worker by a pod that ends under its name', async () => {
    const busy = async (name: string, namespace: string) => {
      const pool = scene.pool(name, { drain: { timeoutSeconds: 1 } })
      await create(taskQueue(name), namespace)
      await create(pool, namespace)
      const queue = openQueue(await scene.redis(), `${namespace}.${name}`)
      const job = newJob('sleep', LONG_JOB)
      await queue.enqueue([job])
      const worker = await eventually(
        async () => (await queue.workers()).find(({ held }) => held === 1),
        MINUTE,
      )
      return { process: worker.process, job: () => queue.job(job.id) }
    }
    const neighbour = await busy('neighbour', scene.namespace)
    const victim = await busy('victim', other)
    const before = [await neighbour.job(), await victim.job()]
    const endAs = ({ process }: { process: string }) =>
      `require('fs').writeFileSync('/dev/termination-log', '${process}'); process.exit(1)`
    const attacks = [
      ['neighbour', neighbour],
      ['victim', victim],
    ] as const
    for (const [pool, worker] of attacks) {
      await create(madeByHand(`fake-${pool}`, pool, endAs(worker)))
      // A pool of one's own may serve the same queue, and runs whatever its author likes.
      const command = { command: ['node', '-e', endAs(worker)] }
      const hostile = { queues: [{ name: 'neighbour' }], scaling: { minReplicas: 1, maxReplicas: 1 } }
      await create(scene.pool(`false-${pool}`, hostile, command))
    }
    const hasEnded = (pod: KubeJson, as: string) => {
      const [{ state, lastState }] = pod.status.containerStatuses
      return (state.terminated ?? lastState.terminated).message === as
    }
    for (const [pool, { process }] of attacks) {
      await eventually(async () => hasEnded(await get(`pod/fake-${pool}`), process), MINUTE)
      await eventually(async () => hasEnded((await podsOf(`false-${pool}`))[0], process), MINUTE)
    }
    // The operator has seen it: each of the busy pools is looked at every second.
    const seen = await poolReconciles()
    await eventually(async () => (await poolReconciles()) > seen + 10, MINUTE)
    expect([await neighbour.job(), await victim.job()]).toEqual(before)
    expect(before).toMatchObject([
      { state: 'held', crashes: 0 },
      { state: 'held', crashes: 0 },
    ])
  }, 180_000)

  test('keeps no pool from becoming smaller by a pod with its labels', async () => {
    await create(taskQueue('shrinks'))
    await create(scene.pool('shrinks', { scaling: { behavior } }))
    await create(madeByHand('lodger', 'shrinks', 'setTimeout(() => {}, 600_000)'))
    await eventually(async () => (await get('pod/lodger')).status.phase === 'Running', MINUTE)
    await scene.enqueue('shrinks', 'echo', [1])
    const queue = await scene.queue('shrinks')
    await eventually(async () => (await queue.depth()).counts.completed === 1, MINUTE)
    await eventually(async () => (await get('deployment/shrinks')).spec.replicas === 0, MINUTE)
    expect((await get('pod/lodger')).metadata.annotations).toBeUndefined()
  }, 120_000)

  test('has a Deployment with Millhand’s labels left as it is', async () => {
    const labels = { 'app.kubernetes.io/managed-by': 'millhand', 'millhand.dev/pool': 'orphan' }
    const container = { name: 'worker', image: 'example/own:1' }
    await create({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'orphan', labels },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [container] } },
      },
    })
    const before = await get('deployment/orphan')
    await create(poolOfOne('orphan', {}))
    await turns('wp/orphan', 'Ready', 'False', { reason: 'NameTaken' })
    await kubectl(['delete', 'wp', 'orphan'])
    const after = await get('deployment/orphan')
    expect(after.spec).toEqual(before.spec)
    expect(after.metadata).toMatchObject({ uid: before.metadata.uid, labels, generation: 1 })
    expect(after.metadata.ownerReferences).toBeUndefined()
  }, 90_000)

  test('takes no queue of another namespace: neither by its name, nor, where names are shared, by naming its owner', async () => {
    await create(taskQueue('owned', { queueName: 'shared.owned' }))
    await turns('tq/owned', 'Ready', 'True')
    const { uid } = (await get('tq/owned')).metadata
    await create(taskQueue('burglar', { queueName: `${scene.namespace}.mine` }), other)
    const refused = await turns('tq/burglar', 'Ready', 'False', {
      reason: 'QueueNameNotAllowed',
      namespace: other,
    })
    await create(taskQueue('thief', { queueName: 'shared.owned' }), other)
    const taken = await turns('tq/thief', 'Ready', 'False', { reason: 'NameTaken', namespace: other })
    for (const { message } of [refused, taken]) expect(message).not.toContain(uid)
    const queueReconciles = async () =>
      sumOf(await metrics(), 'controller_runtime_reconcile_total', { controller: 'taskqueue' })
    const takeOver = (name: string, ownerUID: string) => {
      const patch = JSON.stringify({ spec: { takeOver: { ownerUID } } })
      return kubectl(['patch', `tq/${name}`, '--type=merge', `--patch=${patch}`], other)
    }
    for (const from of ['*', uid.slice(0, -1), uid.toUpperCase()])
      await expect(takeOver('thief', from)).rejects.toThrow('spec.takeOver.ownerUID')
    for (const name of ['thief', 'burglar']) {
      const seen = await queueReconciles()
      await takeOver(name, uid)
      await eventually(async () => (await queueReconciles()) > seen, MINUTE)
    }
    const still = await turns('tq/thief', 'Ready', 'False', { reason: 'NameTaken', namespace: other })
    expect(still.message).toContain('spec.takeOver names a TaskQueue that exists')
    await turns('tq/burglar', 'Ready', 'False', { reason: 'QueueNameNotAllowed', namespace: other })
    for (const name of ['owned', 'mine']) await turns(`tq/${name}`, 'Ready', 'True')
    await kubectl(['delete', 'tq', 'owned'])
    await turns('tq/thief', 'Ready', 'True', { namespace: other })
  }, 120_000)

  test('is gone a minute after the namespace is deleted, and the operator neither complains nor spins', async () => {
    for (const name of ['a', 'b', 'c']) {
      await create(taskQueue(name), other)
      const scaling = { minReplicas: 1 }
      await create(scene.pool(name, { scaling, drain: { timeoutSeconds: 5 } }), other)
    }
    for (const name of ['a', 'b', 'c']) await turns(`wp/${name}`, 'Ready', 'True', { namespace: other })
    const [linesBefore, textBefore] = [operator.lines.length, await metrics()]
    const startedAt = performance.now()
    await scene.cluster.kubectl(['delete', 'namespace', other, '--wait=false'])
    await eventually(
      async () =>
        (await scene.cluster.kubectl(['get', 'namespace', other, '--ignore-not-found', '-o', 'name'])) ===
          '' && 'gone',
      { ...MINUTE, what: 'the end of the namespace' },
    )
    const seconds = (performance.now() - startedAt) / 1000
    const textAfter = await metrics()
    const grown = (name: string, labels = {}) =>
      sumOf(textAfter, name, labels) - sumOf(textBefore, name, labels)
    const reconciles = grown('controller_runtime_reconcile_total')
    const writes = ['PATCH', 'POST'].reduce(
      (s, method) => s + grown('rest_client_requests_total', { method }),
      0,
    )
    process.stderr.write(
      `a namespace was gone after ${seconds.toFixed(0)} s; meanwhile ${reconciles} reconciles, ${writes} writes\n`,
    )
    const said = operator.lines.slice(linesBefore)
    expect(said.filter(isTrouble)).toEqual([])
    expect(reconciles / seconds).toBeLessThan(20)
    expect(writes).toBeLessThan(100)
  }, 180_000)
})
