// What a pool's pods are written as, beyond what its template says.
import { deploymentOf } from '../../../operator/src/worker-pool/deployment.ts'
import { poolOf } from './observed.ts'

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
