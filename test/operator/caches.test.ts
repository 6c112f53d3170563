// Who has which name in Redis, as the operator's caches know it: for metrics, and for whom to wake when a queue has work.
import { silent } from 'millhand/queue'
import { ClusterCaches } from '../../operator/src/caches.ts'
import { type Kube, kinds, type ResourceKind } from '../../operator/src/kube/client.ts'
import { KubeError } from '../../operator/src/kube/errors.ts'
import type { KubeObject, ListWatch } from '../../operator/src/kube/reflector.ts'
import { declared } from '../control/reconcile/declared.ts'
import { eventually } from '../eventually.ts'

/** An API server where nothing changes. It has no CRD of a kind without a list. */
function holding(objects: Map<ResourceKind, object[] | undefined>): Pick<Kube, 'listWatch'> {
  return {
    listWatch: <T extends KubeObject>(kind: ResourceKind): ListWatch<T> => ({
      list: async () => {
        const isMissing = objects.has(kind) && objects.get(kind) === undefined
        if (isMissing)
          throw new KubeError('the server could not find it', { status: 404, reason: 'NotFound' })
        return { items: (objects.get(kind) ?? []) as T[], resourceVersion: '1' }
      },
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

test('without the CRD of Schedules queues are served, the log says so once, and Schedules are when it comes', async () => {
  const objects = new Map<ResourceKind, object[] | undefined>([
    [kinds.TaskQueue, [declared({ name: 'mail', uid: 'u', queueName: 'shop.mail', secretName: 'one' })]],
    [kinds.Schedule, undefined],
  ])
  const warned: unknown[][] = []
  const looked: string[] = []
  const caches = new ClusterCaches({
    kube: holding(objects) as Kube,
    namespaces: ['shop', 'bank'],
    look: (kind, key) => looked.push(`${kind} ${key}`),
    log: { ...silent, warn: (...said) => void warned.push(said) },
    nowMs: () => performance.now(),
  })
  const stopping = new AbortController()
  const running = caches.run(stopping.signal)
  try {
    await caches.synced
    expect(caches.get('TaskQueue', 'shop/mail')?.metadata.uid).toBe('u')
    expect(caches.namespaces.map(({ isReadable }) => isReadable)).toEqual([true, true])
    const missing = warned.filter(([message]) => String(message).includes('no CRD'))
    expect(missing).toEqual([[expect.stringContaining('apply the CRDs'), { collection: 'schedules' }]])
    objects.set(kinds.Schedule, [
      { metadata: { namespace: 'shop', name: 'nightly', uid: 's' }, spec: { queue: 'mail' } },
    ])
    await eventually(() => looked.includes('Schedule shop/nightly'), { what: 'it is seen', withinMs: 30_000 })
    expect(caches.get('Schedule', 'shop/nightly')?.metadata.uid).toBe('s')
  } finally {
    stopping.abort()
    await running
  }
}, 60_000)
