// What a Pod says of how its worker ended. Statuses as a kubelet wrote them.
import type { Pod } from '../../../operator/src/fleet/cluster.ts'
import { readPod } from '../../../operator/src/fleet/pods.ts'

const NAME = 'tTxxORnl'

interface Ended {
  exitCode: number
  reason?: string
}

function podWith(ended: Ended | undefined, status: Pod['status'] = {}, metadata: object = {}): Pod {
  const state = ended
    ? { terminated: { reason: 'Error', ...ended, message: NAME } }
    : { running: { startedAt: '2026-01-01T12:00:00Z' } }
  return {
    metadata: { name: 'mail-a', uid: 'a', ...metadata },
    status: { phase: 'Running', containerStatuses: [{ name: 'worker', state }], ...status },
  }
}
const disruption = (reason: string) => [{ type: 'DisruptionTarget', status: 'True', reason }]
const deleted = { deletionTimestamp: '2026-01-01T12:00:00Z' }
const killed = { exitCode: 137 }
const tooMuch = 'Pod ephemeral local storage usage exceeds the total limit of containers 20Mi. '
const low = 'The node was low on resource: memory. '
const evicted = { phase: 'Failed', reason: 'Evicted' }

test.each<[string, Pod, string, 'counted' | 'uncounted']>([
  ['by SIGKILL', podWith(killed), 'the container ended: signal 9', 'counted'],
  ['by its own decision', podWith({ exitCode: 70 }), 'the container ended: exit code 70', 'counted'],
  [
    'for lack of memory',
    podWith({ ...killed, reason: 'OOMKilled' }),
    'the container ended: OOMKilled',
    'counted',
  ],
  [
    'otherwise, in a container in which a child had ended for lack of memory',
    podWith({ exitCode: 70, reason: 'OOMKilled' }),
    'the container ended: exit code 70',
    'counted',
  ],
  [
    'while its pod was being deleted',
    podWith(killed, {}, deleted),
    'the container ended: signal 9',
    'uncounted',
  ],
  [
    'for lack of memory, also while its pod was being deleted',
    podWith({ ...killed, reason: 'OOMKilled' }, {}, deleted),
    'the container ended: OOMKilled',
    'counted',
  ],
  [
    'for a pod that is more important',
    podWith(killed, { conditions: disruption('PreemptionByScheduler') }, deleted),
    'the pod was disrupted: PreemptionByScheduler (signal 9)',
    'uncounted',
  ],
  [
    'for the disk that it used',
    podWith(killed, { ...evicted, message: tooMuch }),
    `the pod failed: Evicted: ${tooMuch.trim()} (signal 9)`,
    'counted',
  ],
  [
    'because its node had to give something up',
    podWith(killed, { ...evicted, message: low, conditions: disruption('TerminationByKubelet') }),
    `the pod failed: Evicted: ${low.trim()} (signal 9)`,
    'uncounted',
  ],
])('a worker that ended %s', (_how, pod, reason, counting) => {
  expect(readPod(pod, undefined).deaths).toEqual([{ process: NAME, reason, counting }])
})

test.each<[string, Pod]>([
  ['is being deleted', podWith(undefined, {}, deleted)],
  [
    'is on a node that does not answer',
    podWith(undefined, { conditions: [{ type: 'Ready', status: 'False' }] }),
  ],
  [
    'was taken away with its node',
    podWith(undefined, { phase: 'Failed', conditions: disruption('DeletionByPodGC') }, deleted),
  ],
])('no worker has ended that is known of when its pod %s', (_what, pod) => {
  expect(readPod(pod, undefined).deaths).toEqual([])
})

describe('what keeps a worker from starting', () => {
  type Container = NonNullable<NonNullable<Pod['status']>['containerStatuses']>[number]
  const podOfContainer = (container: Partial<Container>, kind = 'containerStatuses') =>
    readPod(
      {
        metadata: { name: 'mail-a', namespace: 'shop', creationTimestamp: '2026-01-01T12:00:00Z' },
        status: { phase: 'Pending', [kind]: [{ name: 'worker', ...container }] },
      },
      undefined,
    )
  const waiting = (reason: string, restartCount = 0) => ({ restartCount, state: { waiting: { reason } } })
  const ended = (exitCode: number, seconds = 1) => ({
    terminated: {
      exitCode,
      startedAt: '2026-01-01T12:00:00Z',
      finishedAt: new Date(Date.parse('2026-01-01T12:00:00Z') + seconds * 1_000).toISOString(),
    },
  })
  const running = { running: { startedAt: '2026-01-01T12:10:00Z' } }

  test.each<[string, Partial<Container>, string | undefined, boolean | undefined]>([
    ['an image that could not be pulled once', waiting('ErrImagePull'), 'ImagePullBackOff', false],
    ['an image that could not be pulled twice', waiting('ImagePullBackOff'), 'ImagePullBackOff', true],
    ['an image name that is none', waiting('InvalidImageName'), 'ImagePullBackOff', true],
    ['an image that may not be pulled', waiting('ErrImageNeverPull'), 'ImagePullBackOff', true],
    [
      'root where that is forbidden',
      waiting('CreateContainerConfigError'),
      'CreateContainerConfigError',
      true,
    ],
    ['a program that is not there', waiting('RunContainerError'), 'RunContainerError', true],
    ['a first crash', { restartCount: 0, state: ended(1) }, undefined, undefined],
    ['a second crash', { restartCount: 1, state: ended(78), started: false }, 'CrashLoopBackOff', false],
    [
      'a wait after crashes',
      { ...waiting('CrashLoopBackOff', 2), lastState: ended(1) },
      'CrashLoopBackOff',
      false,
    ],
    ['a crash loop', { ...waiting('CrashLoopBackOff', 3), lastState: ended(1) }, 'CrashLoopBackOff', true],
    [
      'a crash loop, while the container runs for a moment',
      { restartCount: 4, started: false, state: running, lastState: ended(78) },
      'CrashLoopBackOff',
      true,
    ],
    [
      'a program that has ended without a fault, again and again',
      { restartCount: 4, started: false, state: running, lastState: ended(0) },
      'CrashLoopBackOff',
      true,
    ],
    [
      'a restart because the worker had not registered',
      { restartCount: 1, started: false, state: running, lastState: ended(0, 600) },
      undefined,
      undefined,
    ],
    [
      'a worker that works again',
      { restartCount: 4, started: true, ready: true, state: running, lastState: ended(1) },
      undefined,
      undefined,
    ],
  ])('%s', (_, container, reason, isLasting) => {
    const { trouble } = podOfContainer(container)
    expect(trouble?.reason).toBe(reason)
    expect(trouble?.isLasting).toBe(isLasting)
  })

  test('an init container that has done its work at the second try keeps nothing', () => {
    const done = { restartCount: 1, ready: true, state: ended(0), lastState: ended(1) }
    expect(podOfContainer(done, 'initContainerStatuses').trouble).toBeUndefined()
  })

  test('a crash tells the exit code, and the command that shows the log', () => {
    const { trouble } = podOfContainer({ ...waiting('CrashLoopBackOff', 3), lastState: ended(78) })
    expect(trouble?.message).toBe(
      'container worker of pod mail-a: crash looping: exit code 78 (invalid settings or task files); ' +
        'see kubectl --namespace shop logs mail-a --container worker --previous',
    )
  })

  test.each<[string, Partial<Container>, string | undefined]>([
    ['runs and has not registered', { started: false, state: running }, '2026-01-01T12:10:00Z'],
    [
      'was started again because of that',
      { started: false, restartCount: 1, state: running },
      '2026-01-01T12:00:00Z',
    ],
    ['has registered', { started: true, state: running }, undefined],
    ['does not run', { started: false, ...waiting('ContainerCreating') }, undefined],
  ])('a worker that %s', (_, container, since) => {
    expect(podOfContainer(container).unregisteredSinceMs).toBe(since && Date.parse(since))
  })
})

test('all workers of a pod have ended that a kubelet ended without a word of its containers', () => {
  const { containerStatuses: _, ...status } = { ...podWith(undefined).status, phase: 'Failed' }
  const shutDown = { ...podWith(undefined), status: { ...status, reason: 'NodeShutdown' } }
  expect(readPod(shutDown, undefined).deaths).toEqual([
    { reason: 'the pod failed: NodeShutdown', counting: 'uncounted' },
  ])
})
