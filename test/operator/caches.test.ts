// Who has which name in Redis, as the operator's caches know it: for metrics, and for whom to wake when a queue has work.
import { silent } from 'millhand/queue'
import { ClusterCaches } from '../../operator/src/caches.ts'
import { type Kube, kinds, type ResourceKind } from '../../operator/src/kube/client.ts'
import type { KubeObject, ListWatch } from '../../operator/src/kube/reflector.ts'
import { declared } from '../control/reconcile/declared.ts'

/** An API server where nothing changes. */
function holding(objects: Map<ResourceKind, object[]>): Pick<Kube, 'listWatch'> {
  return {
    listWatch: <T extends KubeObject>(kind: ResourceKind): ListWatch<T> => ({
      list: async () => ({ items: (objects.get(kind) ?? []) as T[], resourceVersion: '1' }),
      async *watch({ signal }) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
    }),
  }
}

test('of two queues with one name in two servers each keeps its name, and wakes its own pools', async () => {
  const queueIn = (secretName: string) => {
    const object = declared({ name: `in-${secretName}`, uid: secretName, queueName: 'shop.same', secretName })
    return { ...object, status: { observedGeneration: 1, queueName: 'shop.same', conditions: [] } }
  }
  const poolOf = (queue: string) => ({
    metadata: { namespace: 'shop', name: `pool-${queue}`, uid: queue },
    spec: { queues: [{ name: queue }] },
  })
  const woken: string[] = []
  const caches = new ClusterCaches({
    kube: holding(
      new Map<ResourceKind, object[]>([
        [kinds.TaskQueue, [queueIn('one'), queueIn('two')]],
        [kinds.WorkerPool, [poolOf('in-one'), poolOf('in-two')]],
      ]),
    ) as Kube,
    namespaces: [],
    look: (kind, key) => kind === 'WorkerPool' && woken.push(key),
    log: silent,
    nowMs: () => performance.now(),
  })
  const stopping = new AbortController()
  const running = caches.run(stopping.signal)
  try {
    await caches.synced
    const place = (secretName: string) => ({ namespace: 'shop', secretName, queueName: 'shop.same' })
    expect(['one', 'two', 'three'].map((name) => caches.taskQueueOf(place(name)))).toEqual([
      'in-one',
      'in-two',
      undefined,
    ])
    woken.length = 0
    caches.lookAtQueue(place('one'))
    expect(woken).toEqual(['shop/pool-in-one'])
  } finally {
    stopping.abort()
    await running
  }
})
