// Where suites that need a real Kubernetes are described: on it, or nowhere, which is said aloud.
import { clusterLeftOut, whichCluster } from './cluster.ts'

const leftOut = clusterLeftOut()
if (leftOut) console.warn(leftOut)
const kind = leftOut ? 'none' : (await whichCluster()).kind

export const onCluster = leftOut ? describe.skip : describe
/** For what the testbed alone has: processes in its network, containers in /proc, an API server and nodes that may be hurt. */
export const onTestbed = kind === 'testbed' ? describe : describe.skip
