// What a Pod says of how its worker ended. Statuses as a kubelet wrote them.
import type { Pod } from '../../../operator/src/resources/cluster.ts'
import { readPod } from '../../../operator/src/worker-pool/pods.ts'

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
  expect(readPod(pod).deaths).toEqual([{ process: NAME, reason, counting }])
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
  expect(readPod(pod).deaths).toEqual([])
})

test('all workers of a pod have ended that a kubelet ended without a word of its containers', () => {
  const { containerStatuses: _, ...status } = { ...podWith(undefined).status, phase: 'Failed' }
  const shutDown = { ...podWith(undefined), status: { ...status, reason: 'NodeShutdown' } }
  expect(readPod(shutDown).deaths).toEqual([
    { reason: 'the pod failed: NodeShutdown', counting: 'uncounted' },
  ])
})
