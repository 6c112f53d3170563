// A real Kubernetes for tests: which one there is to be, and what one can do with it. Tests and main.ts call startCluster.
import type { ChildProcess, SpawnOptions } from 'node:child_process'
import { createHash } from 'node:crypto'
import { resolve } from 'node:path'
import { cacheFolder } from './binary.ts'
import { useGivenCluster } from './given.ts'
import { type Engine, findKind, startKind, stopKind } from './kind.ts'
import { checkTestbed, isTestbed, startTestbed, stopTestbed } from './testbed.ts'

export interface ClusterOptions {
  /** Everything of the cluster lies in it; two clusters in two folders may stand side by side. */
  folder?: string
  nodes?: number
  /** How long a node's kubelet may be silent until the node is NotReady. Kubernetes' own 50 s when absent; the testbed alone heeds it. */
  nodeGraceSeconds?: number | undefined
  /** The cluster ends when this process ends, however it ends: for tests. Without it, only `stop` ends it. */
  endsWithMe?: boolean
  say?: (line: string) => void
  signal?: AbortSignal | undefined
}

export interface Cluster {
  kind: 'given' | 'kind' | 'testbed'
  kubeconfig: string
  /** A path, or a name on the PATH. */
  kubectlProgram: string
  /** Its standard output; fails with what kubectl says. */
  kubectl(args: readonly string[], options?: { stdin?: string }): Promise<string>
  /**
   * Starts a process of this machine in the cluster's network, with KUBECONFIG set: Service names and pod addresses work there. Only
   * the testbed has that; with the others the process runs on this machine and reaches the API server alone.
   */
  inside(command: readonly string[], options?: SpawnOptions): ChildProcess
  stopApiServer(): Promise<void>
  /** Resolves when it is ready. */
  startApiServer(): Promise<void>
  /** Takes the image of a docker or OCI archive into each node. The name tells its contents: a node that has the name keeps what it has. */
  loadImage(image: { name: string; tarball: string }): Promise<void>
  /** Another name for an image that is there: the one that a manifest has, without a registry. */
  tagImage(name: string, as: string): Promise<void>
  /** Resolves to the node's name when it is Ready. */
  addNode(): Promise<string>
  /** The node is cut off: its pods run on, and nobody hears of them. */
  stopKubelet(node: string): Promise<void>
  /** Resolves when the node is Ready again. */
  startKubelet(node: string): Promise<void>
  /** Everything of the node ends at once, and nobody is told: not the API server, not the other ends of its pods' connections. */
  cutPower(node: string): Promise<void>
  stop(): Promise<void>
}

export const defaultFolder = () => `${cacheFolder()}/state`

/** A sentence when the environment leaves the cluster out: say it aloud, skip its tests. */
export function clusterLeftOut(): string | undefined {
  return process.env.MILLHAND_TEST_CLUSTER === 'none'
    ? 'MILLHAND_TEST_CLUSTER=none: the tests on a real Kubernetes are LEFT OUT'
    : undefined
}

type Choice =
  | { kind: 'given'; kubeconfig: string }
  | { kind: 'kind'; engine: Engine }
  | { kind: 'testbed'; because: string }

/** Which cluster there is to be; quick, and nothing is started. */
export async function whichCluster(options: ClusterOptions = {}): Promise<Choice> {
  const leftOut = clusterLeftOut()
  if (leftOut) throw new Error(leftOut)
  const kubeconfig = process.env.MILLHAND_TEST_KUBECONFIG
  if (kubeconfig) return { kind: 'given', kubeconfig }
  const wanted = process.env.MILLHAND_TEST_CLUSTER
  if (wanted && wanted !== 'kind' && wanted !== 'testbed')
    throw new Error(`MILLHAND_TEST_CLUSTER is ${wanted}; it may be kind, testbed or none`)
  if (wanted === 'testbed') return { kind: 'testbed', because: 'MILLHAND_TEST_CLUSTER=testbed' }
  if (isTestbed(settled(options).folder)) return { kind: 'testbed', because: 'it is there already' }
  const found = await findKind()
  if ('engine' in found) return { kind: 'kind', ...found }
  if (wanted === 'kind') throw new Error(`MILLHAND_TEST_CLUSTER=kind: ${found.reason}`)
  return { kind: 'testbed', because: `no kind: ${found.reason}` }
}

/** The cluster that runs in this folder already, or a new one. Says first what it will install and start. */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const choice = await whichCluster(options)
  const all = settled(options)
  switch (choice.kind) {
    case 'given':
      return useGivenCluster(choice.kubeconfig, all)
    case 'kind':
      return startKind(choice.engine, all)
    case 'testbed':
      all.say(`A Kubernetes of single processes on this machine (${choice.because})`)
      await checkTestbed(all)
      return startTestbed(all)
  }
}

/** Ends what `startCluster` started in this folder, in whatever state it is. False when there was nothing. */
export async function stopCluster(options: ClusterOptions = {}): Promise<boolean> {
  const { folder, say } = settled(options)
  return (await stopTestbed(folder)) || (await stopKind(folder, say))
}

export interface Settled extends Required<Omit<ClusterOptions, 'signal' | 'nodeGraceSeconds'>> {
  /** Tells this folder's cluster from others on this machine. */
  id: string
  nodeGraceSeconds: number | undefined
  signal: AbortSignal | undefined
}

function settled(options: ClusterOptions): Settled {
  const folder = resolve(options.folder ?? defaultFolder())
  const id = createHash('sha256').update(folder).digest('hex').slice(0, 8)
  const { nodes = 1, nodeGraceSeconds, endsWithMe = false, say = () => {}, signal } = options
  return { folder, id: `millhand-${id}`, nodes, nodeGraceSeconds, endsWithMe, say, signal }
}
