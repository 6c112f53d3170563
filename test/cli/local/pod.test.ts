// Why a worker of `millhand up` does not work: the words are those of a laptop, not of a cluster.
import { healthOf } from '@millhand/control/decide/health'
import { type LocalPod, unregisteredOf, viewOf } from '../../../cli/src/local/pod.ts'
import type { WorkerProcess } from '../../../cli/src/local/worker-process.ts'
import { NOW, observed, poolOf } from '../../operator/worker-pool/observed.ts'

function troubleOf(isReady: boolean, sinceMs: number): string | undefined {
  const process = { isReady, startedAtMs: NOW - sinceMs } as WorkerProcess
  const own = { name: 'mail-1', uid: 'a', template: 't', createdAtMs: 0, restarts: 0, deaths: [] }
  const pod: LocalPod = { ...own, process, isStopping: false }
  const fleet = {
    pods: [viewOf(pod, { applied: 't', trouble: undefined })],
    deletedPods: [],
    selector: '',
    rollout: 'complete',
    going: new Set<string>(),
    isOurs: true,
    unregistered: unregisteredOf,
  } as const
  const silent = new Map(isReady ? [['a', NOW - sinceMs]] : [])
  const { trouble } = healthOf(
    { ...observed(), pool: poolOf(), fleet },
    { replicas: 1, silent, nowMs: NOW, wallMs: NOW },
  )
  return trouble?.message
}

test.each([
  [false, 'pod mail-1 runs and its worker did not register within 30 s: it cannot reach Redis'],
  [
    true,
    'the worker of pod mail-1 has not been registered in Redis for 30 s: it lost its connection to Redis',
  ],
])(
  'a worker that is not registered (ready: %s) is looked up in the output of up, not with kubectl',
  (isReady, says) => {
    const message = troubleOf(isReady, 31_000)
    expect(message).toContain(says)
    expect(message).toContain('See the lines of mail-1 in the output of millhand up')
    expect(message).not.toMatch(/kubectl|Secret|image/)
    expect(troubleOf(isReady, 29_000)).toBeUndefined()
  },
)
