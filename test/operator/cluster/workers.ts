// The pods of a scene and what runs in them, as this machine sees it: pods by a watch, processes in /proc, because the testbed's containers
// are processes of this machine. For suites that count how pods end, and that hurt them.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { allPids, procText } from '../../processes.ts'
import type { KubeJson, Scene } from './scene.ts'

/** A pod of a pool, from the first sight of it. */
export interface SeenPod {
  uid: string
  pool: string
  wasReady: boolean
  /** When the API server was told to delete it: after the one and before the other, by the clock of all machines here. */
  deleted?: { afterMs: number; beforeMs: number }
}

export interface Watch {
  stop(): void
}

/** All pods of all pools of the scene, the gone ones too. */
export function watchPods(scene: Scene): Watch & { pods: ReadonlyMap<string, SeenPod> } {
  const pods = new Map<string, SeenPod>()
  const columns = [
    '{.metadata.uid}',
    '{.metadata.labels.millhand\\.dev/pool}',
    '{.status.conditions[?(@.type=="Ready")].status}',
    '{.metadata.deletionTimestamp}',
    '{.metadata.deletionGracePeriodSeconds}',
  ]
  const watch = watchObjects(scene, 'pods', columns, ([uid = '', pool = '', ready, at, grace]) => {
    if (!pool) return
    const pod: SeenPod = pods.get(uid) ?? { uid, pool, wasReady: false }
    pods.set(uid, pod)
    pod.wasReady ||= ready === 'True'
    if (!at || pod.deleted) return
    // The API server writes down when the grace period will be over, in whole seconds.
    const afterMs = Date.parse(at) - Number(grace || 0) * 1_000
    pod.deleted = { afterMs, beforeMs: Math.min(afterMs + 1_000, Date.now()) }
  })
  return { ...watch, pods }
}

/** Calls back when the number of pods that a pool's Deployment asks for becomes smaller. */
export function watchLowering(scene: Scene, onLowered: (pool: string) => void): Watch {
  const known = new Map<string, number>()
  return watchObjects(scene, 'deployments', ['{.metadata.name}', '{.spec.replicas}'], ([name = '', text]) => {
    const replicas = Number(text)
    if (replicas < (known.get(name) ?? 0)) onLowered(name)
    known.set(name, replicas)
  })
}

/** Of all objects there are, and of each change, these columns; begins anew where the watch is ended by the server. */
function watchObjects(
  { cluster, namespace }: Scene,
  kind: string,
  columns: readonly string[],
  onObject: (fields: string[]) => void,
): Watch {
  const where = ['--kubeconfig', cluster.kubeconfig, '-n', namespace]
  const how = ['--watch', '--chunk-size=0', '-o', `jsonpath=${columns.join('|')}{"\\n"}`]
  let watching: ChildProcess
  let again: NodeJS.Timeout | undefined
  let isStopped = false
  const start = () => {
    watching = spawn(cluster.kubectlProgram, [...where, 'get', kind, ...how], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    if (watching.stdout)
      createInterface({ input: watching.stdout }).on('line', (line) => onObject(line.split('|')))
    watching.once('exit', () => {
      if (!isStopped) again = setTimeout(start, 500)
    })
  }
  start()
  return {
    stop: () => {
      isStopped = true
      clearTimeout(again)
      watching.kill()
    },
  }
}

/** Those that count as a pool's, of all pools. */
export async function podsOfPools(scene: Scene): Promise<KubeJson[]> {
  const { items } = await scene.get('pods')
  return items.filter(({ metadata }: KubeJson) => metadata.labels?.['millhand.dev/pool'])
}

export interface Container {
  /** The one with pid 1 inside. */
  first: number
  others: number[]
}

const WORKER = 'bin/millhand-worker.js'

/** The container of a pod whose first process has this program in its command line; undefined while it does not run. */
export function containerOf(podUid: string, program = WORKER): Container | undefined {
  const names = [podUid, podUid.replaceAll('-', '_')]
  const all = processes().filter(({ group }) => names.some((name) => group.includes(name)))
  const first = all.find(({ command }) => command.includes(program))
  if (!first) return undefined
  const others = all.filter(({ pid, group }) => pid !== first.pid && group === first.group)
  return { first: first.pid, others: others.map(({ pid }) => pid) }
}

/** The pods whose workers run on this machine, of the pools with these UIDs. */
export function podsWithWorkers(poolUids: readonly string[]): string[] {
  return processes()
    .filter(({ command }) => command.includes(WORKER))
    .map(({ pid }) => procText(pid, 'environ'))
    .filter((environ) => poolUids.some((uid) => environ.includes(`MILLHAND_POOL_UID=${uid}\0`)))
    .map((environ) => /MILLHAND_POD_UID=([^\0]*)/.exec(environ)?.[1] ?? '')
}

function processes(): { pid: number; group: string; command: string }[] {
  return allPids().map((pid) => ({
    pid,
    group: procText(pid, 'cgroup'),
    command: procText(pid, 'cmdline'),
  }))
}
