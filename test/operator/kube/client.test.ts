// The calls of the operator, on a real API server.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { jest } from '@jest/globals'
import { connectKube, type Kube, kinds, type ObjectReference } from '../../../operator/src/kube/client.ts'
import * as errors from '../../../operator/src/kube/errors.ts'
import type { KubeObject } from '../../../operator/src/kube/reflector.ts'
import type { Answered } from '../../../operator/src/kube/rest.ts'
import { reviewsBy } from '../../../operator/src/kube/reviews.ts'
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'

jest.setTimeout(30_000)

interface Deployment extends KubeObject {
  spec: { replicas: number }
}
interface TaskQueue extends KubeObject {
  spec: object
  status?: { observedGeneration?: number; queueName?: string }
}

const labels = { app: 'a' }
const container = { name: 'worker', image: 'example/none' }

function deployment(namespace: string, name: string, { pod = {}, metadata = {}, spec = {} } = {}) {
  const template = { metadata: { labels }, spec: { containers: [container], ...pod } }
  return {
    metadata: { name, namespace, ...metadata },
    spec: { replicas: 0, selector: { matchLabels: labels }, template, ...spec },
  }
}

const configMap = { group: '', version: 'v1', plural: 'configmaps', kind: 'ConfigMap' }

async function failureOf(promise: Promise<unknown>): Promise<errors.KubeError> {
  const error = await promise.then(
    () => undefined,
    (failure: unknown) => failure,
  )
  if (!(error instanceof errors.KubeError))
    throw new Error('it did not fail with a KubeError', { cause: error })
  return error
}

/** The names of what errors.ts says of it. */
const saidOf = (error: unknown) =>
  Object.entries({
    isConflict: errors.isConflict,
    isNotFound: errors.isNotFound,
    isDenied: errors.isDenied,
    isRefused: errors.isRefused,
    isEnding: errors.isEnding,
  })
    .filter(([, is]) => is(error))
    .map(([name]) => name)

onCluster('the client', () => {
  let cluster: SharedCluster
  let namespace: string
  let kube: Kube
  const answers: Answered[] = []
  beforeAll(async () => {
    cluster = await sharedCluster()
    namespace = await cluster.newNamespace('kube-client')
    kube = connectKube({ kubeconfig: cluster.kubeconfig, onRequest: (answered) => answers.push(answered) })
  }, 3_600_000)
  afterAll(async () => {
    kube?.close()
    await cluster?.deleteNamespace(namespace)
  })

  test('knows where the API server is', () => {
    expect(readFileSync(cluster.kubeconfig, 'utf8')).toContain(`https://${kube.server}"`)
  })

  test('applies an object, creating it and changing it; the fields are the field manager millhand’s', async () => {
    const created = await kube.apply<Deployment>(kinds.deployment, deployment(namespace, 'applied'))
    expect(created.metadata.uid).toBeTruthy()
    const changed = await kube.apply<Deployment>(
      kinds.deployment,
      deployment(namespace, 'applied', { spec: { paused: true, replicas: 0 } }),
    )
    expect(changed.metadata.uid).toBe(created.metadata.uid)
    expect(changed.spec).toMatchObject({ paused: true })
    const managers = await cluster.kubectl([
      ...['get', 'deployment', 'applied', '-n', namespace, '--show-managed-fields'],
      '-o=jsonpath={range .metadata.managedFields[*]}{.manager}/{.operation} {end}',
    ])
    expect(managers.split(' ')).toContain('millhand/Apply')
  })

  test('applies a status without touching the spec', async () => {
    const metadata = { name: 'mail', namespace }
    const spec = { retry: { maxAttempts: 7 } }
    await kube.apply(kinds.TaskQueue, { metadata, ...{ spec } })
    const applyStatus = (status: object) =>
      kube.apply<TaskQueue>(kinds.TaskQueue, { metadata, ...{ status } }, { status: true })
    const applied = await applyStatus({ observedGeneration: 1, queueName: 'a.mail' })
    expect(applied.status).toEqual({ observedGeneration: 1, queueName: 'a.mail' })
    await applyStatus({ observedGeneration: 1 })
    const found = await kube.findOne<TaskQueue>(kinds.TaskQueue, namespace, 'mail')
    expect(found?.status).toEqual({ observedGeneration: 1 })
    expect(found?.spec).toMatchObject(spec)
  })

  test('takes a field over from another manager only with force', async () => {
    await kube.apply(kinds.deployment, deployment(namespace, 'contested'))
    await cluster.kubectl(['scale', 'deployment/contested', '-n', namespace, '--replicas=1'])
    const conflict = await failureOf(kube.apply(kinds.deployment, deployment(namespace, 'contested')))
    expect(saidOf(conflict)).toEqual(['isConflict'])
    expect(conflict.message).toContain('.spec.replicas')
    const forced = await kube.apply<Deployment>(kinds.deployment, deployment(namespace, 'contested'), {
      force: true,
    })
    expect(forced.spec.replicas).toBe(0)
  })

  test('does not apply to another state than the one that was seen', async () => {
    // A resource that no controller of the cluster writes to meanwhile.
    const queue = (more: object, spec: object) => ({ metadata: { namespace, name: 'stale', ...more }, spec })
    const first = await kube.apply<TaskQueue>(kinds.TaskQueue, queue({}, { suspend: false }))
    const { resourceVersion } = first.metadata
    await kube.apply(kinds.TaskQueue, queue({ resourceVersion }, { suspend: true }))
    const again = kube.apply(kinds.TaskQueue, queue({ resourceVersion }, { suspend: false }), { force: true })
    const stale = await failureOf(again)
    expect(stale).toMatchObject({ status: 409, reason: 'Conflict' })
    expect(saidOf(stale)).toEqual(['isConflict'])
  })

  test('merges a patch', async () => {
    await kube.apply(kinds.deployment, deployment(namespace, 'patched'))
    const patch = (annotations: object) =>
      kube.mergePatch<Deployment>(kinds.deployment, namespace, 'patched', { metadata: { annotations } })
    expect((await patch({ a: '1', b: '2' })).metadata.annotations).toMatchObject({ a: '1', b: '2' })
    expect((await patch({ a: null })).metadata.annotations?.a).toBeUndefined()
    const missing = await failureOf(kube.mergePatch(kinds.deployment, namespace, 'no-such', {}))
    expect(missing).toMatchObject({ status: 404, reason: 'NotFound' })
    expect(saidOf(missing)).toEqual(['isNotFound'])
  })

  test('finds one, by name, or none', async () => {
    await kube.apply(kinds.deployment, deployment(namespace, 'found'))
    const found = await kube.findOne<Deployment>(kinds.deployment, namespace, 'found')
    expect(found?.metadata.name).toBe('found')
    expect(await kube.findOne(kinds.deployment, namespace, 'foun')).toBeUndefined()
    await cluster.kubectl([
      'create',
      'secret',
      'generic',
      'redis',
      '-n',
      namespace,
      '--from-literal=url=redis://',
    ])
    const secret = await kube.get<{ data: { url: string } }>(kinds.secret, namespace, 'redis')
    expect(Buffer.from(secret?.data.url ?? '', 'base64').toString()).toBe('redis://')
    expect(await kube.get(kinds.secret, namespace, 'no-such')).toBeUndefined()
  })

  test.each([
    ['an unknown field', { pod: { nonsense: 1 } }, 500, /failed to create typed patch object.*nonsense/],
    ['a wrong type', { pod: { containers: 'one' } }, 500, /failed to create typed patch object.*containers/],
    [
      'a broken quantity',
      { pod: { containers: [{ ...container, resources: { limits: { memory: 'lots' } } }] } },
      500,
      /failed to convert new object.*quantities/,
    ],
    ['an invalid value', { pod: { restartPolicy: 'Never' } }, 422, /restartPolicy/],
  ])('a template with %s is wrong in itself', async (_name, over, status, message) => {
    const failure = await failureOf(kube.apply(kinds.deployment, deployment(namespace, 'wrong', over)))
    expect(failure.status).toBe(status)
    expect(failure.message).toMatch(message)
    expect(saidOf(failure)).toEqual(['isRefused'])
  })

  test('what a CRD’s own rule refuses is wrong in itself', async () => {
    const metadata = { name: 'bad', namespace }
    const spec = { retry: { maxAttempts: -1 } }
    const failure = await failureOf(kube.apply(kinds.TaskQueue, { metadata, ...{ spec } }))
    expect([failure.status, saidOf(failure)]).toEqual([422, ['isRefused']])
  })

  test('what admission or a quota refuses is wrong in itself, and no lack of rights', async () => {
    const pod = { metadata: { name: 'p', namespace }, spec: { hostNetwork: true, containers: [container] } }
    const admission = await failureOf(kube.apply(kinds.pod, pod))
    expect(admission).toMatchObject({ status: 403, reason: 'Forbidden' })
    expect(admission.message).toContain('violates PodSecurity')
    expect(saidOf(admission)).toEqual(['isRefused'])
    const small = await cluster.newNamespace('kube-quota')
    await cluster.kubectl(['create', 'quota', 'none', '-n', small, '--hard=count/configmaps=0'])
    const map = { metadata: { name: 'c', namespace: small } }
    // The quota counts a moment after it is there.
    const quota = await eventually(async () => {
      const failure = await kube.apply(configMap, map, { force: true }).then(
        () => undefined,
        (error: unknown) => error as errors.KubeError,
      )
      if (!failure) await cluster.kubectl(['delete', 'configmap', 'c', '-n', small])
      return failure?.message.includes('exceeded quota') && failure
    })
    expect(saidOf(quota)).toEqual(['isRefused'])
    await cluster.deleteNamespace(small)
  })

  test('what is new in a namespace that is being deleted is no one’s fault', async () => {
    const ending = await cluster.newNamespace('kube-ending')
    const metadata = { name: 'held', finalizers: ['example.org/held'] }
    const manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata }
    await cluster.kubectl(['create', '-n', ending, '-f', '-'], { stdin: JSON.stringify(manifest) })
    await cluster.deleteNamespace(ending)
    const failure = await failureOf(kube.apply(kinds.deployment, deployment(ending, 'late')))
    expect(saidOf(failure)).toEqual(['isEnding'])
    const release = JSON.stringify({ metadata: { finalizers: null } })
    await cluster.kubectl(['patch', 'configmap', 'held', '-n', ending, '--type=merge', '-p', release])
  })

  test('a namespace or kind that is not there is not found', async () => {
    const nowhere = await failureOf(kube.apply(kinds.deployment, deployment('no-such-namespace', 'a')))
    expect(saidOf(nowhere)).toEqual(['isNotFound'])
    const unknown = { ...kinds.TaskQueue, plural: 'nonsenses' }
    expect(saidOf(await failureOf(kube.findOne(unknown, namespace, 'a')))).toEqual(['isNotFound'])
  })

  describe('with the rights of a service account', () => {
    const folder = mkdtempSync(join(tmpdir(), 'millhand-kube-'))
    afterAll(() => rmSync(folder, { recursive: true }))

    function connectWith(token: string): Kube {
      const config = JSON.parse(readFileSync(cluster.kubeconfig, 'utf8'))
      for (const each of config.users) each.user = { token }
      const kubeconfig = join(folder, 'kubeconfig')
      writeFileSync(kubeconfig, JSON.stringify(config), { mode: 0o600 })
      return connectKube({ kubeconfig })
    }

    test('what its role does not allow is denied, and not wrong in itself', async () => {
      const token = (await cluster.kubectl(['create', 'token', 'default', '-n', namespace])).trim()
      const poor = connectWith(token)
      for (const call of [
        () => poor.apply(kinds.deployment, deployment(namespace, 'a')),
        () => poor.findOne(kinds.TaskQueue, namespace, 'a'),
        () => poor.get(kinds.secret, namespace, 'redis'),
      ]) {
        const denied = await failureOf(call())
        expect(denied).toMatchObject({ status: 403, reason: 'Forbidden' })
        expect(denied.message).toContain(`User "system:serviceaccount:${namespace}:default" cannot `)
        expect(saidOf(denied)).toEqual(['isDenied'])
        expect(`${denied.stack} ${denied.cause}`).not.toContain(token)
      }
      poor.close()
    })

    test('a token that nobody knows is denied', async () => {
      const stranger = connectWith('not-a-token')
      const denied = await failureOf(stranger.findOne(kinds.TaskQueue, namespace, 'a'))
      expect([denied.status, saidOf(denied)]).toEqual([401, ['isDenied']])
      stranger.close()
    })
  })

  describe('Events', () => {
    const regarding = (): ObjectReference => {
      return { apiVersion: 'millhand.dev/v1beta1', kind: 'TaskQueue', name: 'mail', namespace }
    }
    const event = (metadata: { name: string } | { generateName: string }) => ({
      metadata: { namespace, ...metadata },
      type: 'Warning' as const,
      reason: 'RedisUnreachable',
      note: 'Redis does not answer',
      action: 'Reconcile',
      regarding: regarding(),
      reportingController: 'millhand.dev/operator',
      reportingInstance: 'me',
    })

    test('are written', async () => {
      await kube.createEvent(event({ generateName: 'mail-' }))
      await kube.createEvent({ ...event({ name: 'mail.1' }), eventTime: '2026-01-02T03:04:05Z' })
      const again = await failureOf(kube.createEvent(event({ name: 'mail.1' })))
      expect(again).toMatchObject({ status: 409, reason: 'AlreadyExists' })
      expect(saidOf(again)).toEqual([])
      const written = await kube.findOne<{ eventTime: string }>(kinds.event, namespace, 'mail.1')
      expect(written?.eventTime).toBe('2026-01-02T03:04:05.000000Z')
      const told = await cluster.kubectl(['get', 'events', '-n', namespace, '-o=name'])
      expect(told.split('\n').filter((name) => name.startsWith('event/mail'))).toHaveLength(2)
    })
  })

  test('asks whose token it is and what its user may get, also for who does not lead', async () => {
    await cluster.kubectl(['create', 'serviceaccount', 'reader', '-n', namespace])
    const role = `--clusterrole=${namespace}-metrics`
    const account = `--serviceaccount=${namespace}:reader`
    await cluster.kubectl([
      ...['create', 'clusterrole', `${namespace}-metrics`],
      ...['--verb=get', '--non-resource-url=/metrics'],
    ])
    await cluster.kubectl(['create', 'clusterrolebinding', `${namespace}-metrics`, role, account])
    const token = await cluster.kubectl(['create', 'token', 'reader', '-n', namespace])
    const following = connectKube({ kubeconfig: cluster.kubeconfig, fence: { isOpen: false } })
    const reviews = reviewsBy(following)

    const user = await reviews.userOf(token.trim())
    expect(user?.username).toBe(`system:serviceaccount:${namespace}:reader`)
    await eventually(() => reviews.mayGet(user ?? {}, '/metrics'))
    expect(await reviews.mayGet(user ?? {}, '/logs')).toBe(false)
    expect(await reviews.userOf('no-such-token')).toBeUndefined()
    following.close()
    for (const kind of ['clusterrolebinding', 'clusterrole'])
      await cluster.kubectl(['delete', kind, `${namespace}-metrics`])
  })

  test('tells of each call for metrics', async () => {
    answers.length = 0
    await kube.findOne(kinds.deployment, namespace, 'found')
    await failureOf(kube.mergePatch(kinds.deployment, namespace, 'no-such', {}))
    await kube.apply(configMap, { metadata: { name: 'counted', namespace } })
    expect(answers.map(({ verb, method, code }) => [verb, method, code])).toEqual([
      ['list', 'GET', 200],
      ['patch', 'PATCH', 404],
      ['apply', 'PATCH', 201],
    ])
  })
})
