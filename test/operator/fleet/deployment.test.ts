// What a pool's pods are written as, beyond what its template says.
import { deploymentOf, TEMPLATE_ANNOTATION } from '../../../operator/src/fleet/deployment.ts'
import { poolOf } from '../worker-pool/observed.ts'

describe('a pod gives up a node that does not answer', () => {
  const NOT_READY = 'node.kubernetes.io/not-ready'
  const UNREACHABLE = 'node.kubernetes.io/unreachable'
  const soon = (key: string) => ({
    key,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 30,
  })
  const tolerationsOf = (tolerations?: object[]) => {
    const containers = [{ name: 'worker', image: 'example/mail:1' }]
    const pool = poolOf({ template: { spec: { containers, ...(tolerations && { tolerations }) } } })
    const { spec } = deploymentOf({ pool, queues: [], secretName: 'millhand-redis' })
    return (spec as { template: { spec: { tolerations: object[] } } }).template.spec.tolerations
  }
  const gpu = { key: 'gpu', operator: 'Exists' }
  const patient = { key: UNREACHABLE, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 900 }
  const anywhere = { operator: 'Exists' }
  const anyEffect = { key: NOT_READY, operator: 'Exists' }
  const notScheduled = { key: NOT_READY, operator: 'Exists', effect: 'NoSchedule' }

  test.each([
    ['after half a minute', undefined, [soon(NOT_READY), soon(UNREACHABLE)]],
    ['whatever else its template tolerates', [gpu], [gpu, soon(NOT_READY), soon(UNREACHABLE)]],
    ['when its template says so', [patient], [patient, soon(NOT_READY)]],
    ['never, when its template tolerates everything', [anywhere], [anywhere]],
    ['also by a taint of any effect', [anyEffect], [anyEffect, soon(UNREACHABLE)]],
    [
      'which a taint of another effect does not say',
      [notScheduled],
      [notScheduled, soon(NOT_READY), soon(UNREACHABLE)],
    ],
  ])('%s', (_rule, given, expected) => {
    expect(tolerationsOf(given)).toEqual(expected)
  })
})

describe('Deployment and pods carry the recommended labels', () => {
  const recommended = {
    'app.kubernetes.io/name': 'millhand-worker',
    'app.kubernetes.io/instance': 'mail',
    'app.kubernetes.io/component': 'worker',
    'app.kubernetes.io/part-of': 'millhand',
    'app.kubernetes.io/managed-by': 'millhand',
    'millhand.dev/pool': 'mail',
  }
  const rendered = (labels?: Record<string, string>) => {
    const containers = [{ name: 'worker', image: 'example/mail:1' }]
    const pool = poolOf({ template: { ...(labels && { metadata: { labels } }), spec: { containers } } })
    const { metadata, spec } = deploymentOf({ pool, queues: [], secretName: 'millhand-redis' })
    const { selector, template } = spec as { selector: object; template: { metadata: { labels: object } } }
    return { labels: metadata.labels, podLabels: template.metadata.labels, selector }
  }
  const selector = { matchLabels: { 'millhand.dev/pool': 'mail' } }

  test('and the selector has none that a template could change', () => {
    expect(rendered()).toEqual({ labels: recommended, podLabels: recommended, selector })
  })

  test('which a template may change, but those that pods are found by', () => {
    const given = { team: 'shop', 'app.kubernetes.io/part-of': 'shop', 'app.kubernetes.io/managed-by': 'me' }
    const labels = { ...recommended, team: 'shop', 'app.kubernetes.io/part-of': 'shop' }
    expect(rendered(given)).toEqual({ labels, podLabels: labels, selector })
  })
})

describe('a pod is ready when its worker has registered', () => {
  interface Template {
    metadata: { annotations: Record<string, string> }
    spec: { containers: Record<string, { periodSeconds: number; failureThreshold: number }>[] }
  }
  const templateOf = (worker: object = {}, spec: object = {}) => {
    const containers = [{ name: 'worker', image: 'example/mail:1', ...worker }, { name: 'sidecar' }]
    const pool = poolOf({ template: { spec: { containers } }, ...spec })
    const deployment = deploymentOf({ pool, queues: [], secretName: 'millhand-redis' })
    return { deployment, template: deployment.spec.template as Template }
  }
  const probesOf = (worker: object = {}, spec: object = {}) =>
    templateOf(worker, spec).template.spec.containers
  const own = { exec: { command: ['true'] } }

  test('which its startup probe asks, once, without a shell', () => {
    const [worker, sidecar] = probesOf()
    expect(worker?.startupProbe).toMatchObject({ httpGet: { path: '/readyz', port: 'millhand' } })
    expect(worker?.readinessProbe).toBeUndefined()
    expect(sidecar?.startupProbe).toBeUndefined()
  })

  test('beside probes of its template, and instead of none but a startup probe', () => {
    const [worker] = probesOf({ readinessProbe: own, livenessProbe: own })
    expect(worker).toMatchObject({ readinessProbe: own, livenessProbe: own })
    expect(worker?.startupProbe).toMatchObject({ httpGet: { path: '/readyz' } })
  })

  test.each([
    [60, 600],
    [600, 600],
    [3_600, 3_600],
  ])(
    'and with a deadline of %d s it is given %d s before it is started again',
    (progressDeadlineSeconds, seconds) => {
      const [worker] = probesOf({}, { rollout: { progressDeadlineSeconds } })
      const { periodSeconds = 0, failureThreshold = 0 } = worker?.startupProbe ?? {}
      expect(periodSeconds * failureThreshold).toBe(seconds)
    },
  )

  test('and its template is named in it as on the Deployment', () => {
    const { deployment, template } = templateOf()
    const named = deployment.metadata.annotations[TEMPLATE_ANNOTATION]
    expect(named).toMatch(/^[0-9a-f]{16}$/)
    expect(template.metadata.annotations[TEMPLATE_ANNOTATION]).toBe(named)
    expect(
      templateOf({ image: 'example/mail:2' }).deployment.metadata.annotations[TEMPLATE_ANNOTATION],
    ).not.toBe(named)
  })
})
