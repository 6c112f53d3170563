// The shared cluster has Millhand's resources, and namespaces for whoever asks.
import { type SharedCluster, sharedCluster } from './shared.ts'
import { onCluster } from './suites.ts'

onCluster('the cluster that suites share', () => {
  let cluster: SharedCluster
  let namespace: string
  beforeAll(async () => {
    cluster = await sharedCluster()
    namespace = await cluster.newNamespace('shared')
  }, 3_600_000)
  afterAll(() => cluster?.deleteNamespace(namespace))

  test('takes an empty TaskQueue', async () => {
    const queue = {
      apiVersion: 'millhand.dev/v1beta1',
      kind: 'TaskQueue',
      metadata: { name: 'mail', namespace },
    }
    await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(queue) })
    const spec = await cluster.kubectl([
      'get',
      'tq',
      'mail',
      '-n',
      namespace,
      '-o',
      'jsonpath={.spec.retry.maxAttempts}',
    ])
    expect(spec).toBe('3')
  })
})
