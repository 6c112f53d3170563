// One Kubernetes for all suites of a test run that only need some Kubernetes: started by the first that asks, with Millhand's resources
// installed, ended after the run (global-teardown.ts). Each suite works in namespaces of its own. Suites that hurt a cluster start their own.
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Cluster, startCluster, stopCluster } from './cluster.ts'

export interface SharedCluster extends Cluster {
  /** Under restricted pod security; the name is the prefix and a number. */
  newNamespace(prefix: string): Promise<string>
  /** Does not wait until it is gone. */
  deleteNamespace(namespace: string | undefined): Promise<void>
}

const CRDS = ['taskqueue', 'workerpool', 'schedule'].map((name) =>
  fileURLToPath(new URL(`../../crds/${name}.yaml`, import.meta.url)),
)

export async function sharedCluster(): Promise<SharedCluster> {
  const folder = process.env.MILLHAND_TEST_CLUSTER_FOLDER
  if (!folder) throw new Error('MILLHAND_TEST_CLUSTER_FOLDER is not set: global-setup.ts sets it')
  const say = (line: string) => process.stderr.write(`${line}\n`)
  return equipped(await startCluster({ folder, endsWithMe: true, say }))
}

/** A cluster with Millhand's resources; also one of a suite's own. */
export async function equipped(cluster: Cluster): Promise<SharedCluster> {
  await installResources(cluster)
  const more = {
    newNamespace: (prefix: string) => newNamespace(cluster, prefix),
    deleteNamespace: async (namespace: string | undefined) => {
      if (namespace) await cluster.kubectl(['delete', 'namespace', namespace, '--wait=false'])
    },
  }
  return Object.assign(cluster, more)
}

/** Ends the cluster of this run, if there is one. */
export async function endSharedCluster(): Promise<void> {
  const folder = process.env.MILLHAND_TEST_CLUSTER_FOLDER
  if (folder && !process.env.MILLHAND_TEST_KUBECONFIG) await stopCluster({ folder })
}

async function installResources(cluster: Cluster): Promise<void> {
  const documents = CRDS.map((file) => readFileSync(file, 'utf8')).join('\n---\n')
  await cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', '-'], { stdin: documents })
  await cluster.kubectl([
    'wait',
    '--for=condition=Established',
    'crd/taskqueues.millhand.dev',
    'crd/workerpools.millhand.dev',
    'crd/schedules.millhand.dev',
  ])
}

async function newNamespace(cluster: Cluster, prefix: string): Promise<string> {
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: {
      generateName: `${prefix}-`,
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
    },
  }
  const created = await cluster.kubectl(['create', '-f', '-', '-o', 'jsonpath={.metadata.name}'], {
    stdin: JSON.stringify(namespace),
  })
  return created.trim()
}
