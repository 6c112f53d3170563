// A cluster that somebody gives to the tests by MILLHAND_TEST_KUBECONFIG; never the one of the user's own KUBECONFIG.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Cluster, Settled } from './cluster.ts'
import { findProgram, run } from './run.ts'

export async function useGivenCluster(kubeconfig: string, { say }: Pick<Settled, 'say'>): Promise<Cluster> {
  if (!existsSync(kubeconfig))
    throw new Error(`MILLHAND_TEST_KUBECONFIG names ${kubeconfig}, which does not exist`)
  say(`Using the cluster of MILLHAND_TEST_KUBECONFIG, ${kubeconfig}: nothing is installed or started`)
  const cluster = onThisMachine('given', kubeconfig, 'MILLHAND_TEST_KUBECONFIG')
  await cluster.kubectl(['get', '--raw', '/readyz', '--request-timeout=10s'])
  return cluster
}

/** What kind's and a given cluster have in common: processes run on this machine; what one cannot do says so. */
export function onThisMachine(kind: Cluster['kind'], kubeconfig: string, owner: string): Cluster {
  const cannot = (what: string) => async () => {
    throw new Error(
      `cannot ${what} in the cluster of ${owner}; MILLHAND_TEST_CLUSTER=testbed brings up one where it works`,
    )
  }
  return {
    kind,
    kubeconfig,
    kubectlProgram: 'kubectl',
    kubectl: async (args, options = {}) => {
      if (!(await findProgram('kubectl'))) throw new Error('there is no kubectl on the PATH: install it')
      return run(['kubectl', `--kubeconfig=${kubeconfig}`, ...args], options)
    },
    inside: ([program = '', ...args], options = {}) =>
      spawn(program, args, { ...options, env: { ...(options.env ?? process.env), KUBECONFIG: kubeconfig } }),
    stopApiServer: cannot('stop the API server'),
    startApiServer: cannot('start the API server'),
    loadImage: cannot('load an image'),
    tagImage: cannot('name an image'),
    addNode: cannot('add a node'),
    stopKubelet: cannot('stop a kubelet'),
    startKubelet: cannot('start a kubelet'),
    cutPower: cannot('end a node'),
    stop: async () => {},
  }
}
