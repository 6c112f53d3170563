import { variablesOf } from '../../../cli/src/local/task-modules.ts'
import { environmentOf } from '../../../cli/src/local/worker-process.ts'
import { workerPool } from '../../control/resources/crds.ts'

const poolWith = (container: object) =>
  workerPool({ template: { spec: { containers: [{ name: 'worker', ...container }] } } })
const secret = (name: string, rest: object = {}) => ({
  name,
  valueFrom: { secretKeyRef: { name: 'db', key: 'url', ...rest } },
})

describe('the environment of a worker', () => {
  test('has the plain values of the manifest', () => {
    const pool = poolWith({ env: [{ name: 'A', value: 'a' }, { name: 'EMPTY' }] })
    expect(variablesOf(pool, {})).toEqual({ variables: { A: 'a', EMPTY: '' }, warnings: [] })
  })

  test('has what comes from the cluster under its name from our own, else there is a warning', () => {
    const pool = poolWith({ env: [secret('URL'), secret('MISSING'), secret('MAYBE', { optional: true })] })
    expect(variablesOf(pool, { URL: 'postgres://here' })).toEqual({
      variables: { URL: 'postgres://here' },
      warnings: [
        'WorkerPool mailers: MISSING comes from the cluster; set MISSING in your own environment to give it a value here',
      ],
    })
  })

  test('says that it cannot take everything from a ConfigMap or Secret', () => {
    expect(variablesOf(poolWith({ envFrom: [{ secretRef: { name: 'x' } }] }), {}).warnings).toHaveLength(1)
  })

  test('has the settings of the pool, and of ours nothing that is Millhand’s', () => {
    const pool = workerPool({
      slots: 3,
      isolation: { mode: 'Reuse', maxMemory: '1Ki' },
      drain: { timeoutSeconds: 5 },
    })
    const own = { PATH: '/bin', MILLHAND_SLOTS: '9', MILLHAND_ANYTHING: 'x', UNSET: undefined }
    const sources = { own, variables: { A: 'a' }, redis: { url: 'redis://here' }, poolUid: 'uid' }
    expect(environmentOf({ pool, queueNames: ['default.letters'] }, sources)).toEqual({
      PATH: '/bin',
      A: 'a',
      MILLHAND_REDIS_URL: 'redis://here',
      MILLHAND_NAMESPACE: 'default',
      MILLHAND_QUEUES: '[{"name":"letters","weight":1}]',
      MILLHAND_SLOTS: '3',
      MILLHAND_ISOLATION: 'Reuse',
      MILLHAND_MAX_MEMORY_BYTES: '1024',
      MILLHAND_DRAIN_TIMEOUT_SECONDS: '5',
      MILLHAND_POOL_UID: 'uid',
    })
  })
})
