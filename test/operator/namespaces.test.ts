// Namespaces that the operator was told to watch: one that is gone, or that it may not read, keeps it from none of the others.
import { silent } from 'millhand/queue'
import { ClusterCaches } from '../../operator/src/caches.ts'
import { type Kube, kinds, type ResourceKind } from '../../operator/src/kube/client.ts'
import { KubeError } from '../../operator/src/kube/errors.ts'
import type { KubeObject, ListWatch } from '../../operator/src/kube/reflector.ts'
import { eventually } from '../eventually.ts'

const forbidden = (namespace: string) =>
  new KubeError(
    `pods is forbidden: User "operator" cannot list resource "pods" in the namespace "${namespace}"`,
    {
      status: 403,
      reason: 'Forbidden',
    },
  )
const missing = () =>
  new KubeError('the server could not find the requested resource', { status: 404, reason: 'NotFound' })
const away = () => new KubeError('the API server is away', { status: 0, reason: 'Unreachable' })
type Answer = (kind: ResourceKind) => KubeError | undefined

/** An API server that has one pool and one queue in each namespace, and answers each list as it is told. */
function watching(answers: Record<string, Answer>) {
  const woken = new Set<string>()
  const logged: { message: string; namespace?: unknown }[] = []
  const note = (message: string, facts: object = {}) => void logged.push({ message, ...facts })
  const kube = {
    listWatch: <T extends KubeObject>(kind: ResourceKind, { namespace = '' } = {}): ListWatch<T> => ({
      list: async () => {
        const refusal = answers[namespace]?.(kind)
        if (refusal) throw refusal
        const isOurs = kind === kinds.WorkerPool || kind === kinds.TaskQueue
        const object = {
          metadata: { namespace, name: 'mail', uid: namespace },
          spec: { queues: [{ name: 'mail' }] },
        }
        return { items: (isOurs ? [object] : []) as unknown as T[], resourceVersion: '1' }
      },
      async *watch({ signal }) {
        await new Promise((resolve) => signal.addEventListener('abort', resolve))
      },
    }),
  }
  const caches = new ClusterCaches({
    kube: kube as unknown as Kube,
    namespaces: Object.keys(answers),
    look: (kind, key) => kind === 'WorkerPool' && woken.add(key),
    log: { ...silent, info: note, error: note },
    nowMs: () => performance.now(),
  })
  const stopping = new AbortController()
  const running = caches.run(stopping.signal)
  const stop = async () => {
    stopping.abort()
    await running
  }
  return { caches, woken, logged, stop }
}

test.each<[string, Answer]>([
  ['is gone with its role', () => forbidden('b')],
  ['may not be read in part', (kind) => (kind === kinds.pod ? forbidden('b') : undefined)],
  ['lacks what is watched', missing],
])('one that %s is named in the log and in metrics, and the other one is served', async (_, answer) => {
  const { caches, logged, stop } = watching({ a: () => undefined, b: answer })
  try {
    await caches.synced
    expect(caches.isSynced).toBe(true)
    expect(caches.get('WorkerPool', 'a/mail')).toBeDefined()
    expect(caches.get('TaskQueue', 'a/mail')).toBeDefined()
    // What is not seen whole is not acted upon: its pods would seem to be gone.
    expect(caches.get('WorkerPool', 'b/mail')).toBeUndefined()
    expect(caches.get('TaskQueue', 'b/mail')).toBeUndefined()
    expect(caches.namespaces).toEqual([
      { namespace: 'a', isReadable: true },
      { namespace: 'b', isReadable: false },
    ])
    expect(logged.filter(({ message }) => message.startsWith('cannot read a namespace'))).toMatchObject([
      { namespace: 'b' },
    ])
  } finally {
    await stop()
  }
})

test('one that comes back is served', async () => {
  let isThere = false
  const { caches, woken, logged, stop } = watching({
    a: () => undefined,
    b: () => (isThere ? undefined : forbidden('b')),
  })
  try {
    await caches.synced
    woken.clear()
    isThere = true
    await eventually(() => caches.get('WorkerPool', 'b/mail'), { withinMs: 30_000, what: 'the pool of b' })
    expect(woken).toContain('b/mail')
    expect(logged).toContainEqual({ message: 'namespace is readable again', namespace: 'b' })
    expect(caches.namespaces).toContainEqual({ namespace: 'b', isReadable: true })
  } finally {
    await stop()
  }
}, 60_000)

test.each<[string, Record<string, Answer>]>([
  ['none can be read', { a: () => forbidden('a'), b: missing }],
  ['the API server does not answer', { a: () => undefined, b: away }],
])('nothing is served while %s', async (_, answers) => {
  const { caches, stop } = watching(answers)
  try {
    let isSynced = false
    void caches.synced.then(() => {
      isSynced = true
    })
    await eventually(
      () => caches.namespaces.some(({ isReadable }) => !isReadable) || caches.get('WorkerPool', 'a/mail'),
    )
    expect(isSynced).toBe(false)
    expect(caches.isSynced).toBe(false)
  } finally {
    await stop()
  }
})
