// `npm run cluster`: brings up a Kubernetes for tests and prints where its kubeconfig lies; `--stop` ends it.
import { parseArgs } from 'node:util'
import { clusterLeftOut, defaultFolder, startCluster, stopCluster } from './cluster.ts'

const HELP = `npm run cluster -- [options]

Brings up a Kubernetes for tests and prints the path of its kubeconfig. It says first what it will install and start.

  --stop           end the cluster and leave nothing of it
  --nodes NUMBER   how many nodes; default 1
  --state FOLDER   where everything of this cluster lies; default ${defaultFolder()}
                   two clusters in two folders may stand side by side
  --json           print {"kind", "kubeconfig"} instead of sentences
  --help

Which one: MILLHAND_TEST_KUBECONFIG, when set, is the kubeconfig of a cluster to use (KUBECONFIG is never looked at); else kind, where a
container engine answers and kind's node image is at hand; else Kubernetes, etcd and CoreDNS built with Go from their modules and run
with a containerd of their own in namespaces of their own (Linux, root).
MILLHAND_TEST_CLUSTER=kind or testbed insists on one; none leaves it out.
`

const stopping = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.on(signal, () => {
    process.exitCode = signal === 'SIGINT' ? 130 : 143
    stopping.abort(new Error(`stopped by ${signal}; nothing is left`))
  })

try {
  await main()
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
  process.exitCode ||= 1
}
process.exit()

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      stop: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
      nodes: { type: 'string', default: '1' },
      state: { type: 'string', default: defaultFolder() },
    },
  })
  if (values.help) return print(HELP)
  const say = (line: string) => void process.stderr.write(`${line}\n`)
  const folder = values.state
  if (values.stop) {
    const wasThere = await stopCluster({ folder, say })
    return say(wasThere ? 'The cluster has ended; nothing of it is left' : `There is no cluster in ${folder}`)
  }
  const leftOut = clusterLeftOut()
  if (leftOut) return say(leftOut)
  const nodes = Number(values.nodes)
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > 9)
    throw new Error('--nodes takes a number from 1 to 9')
  const beganMs = performance.now()
  const { kind, kubeconfig } = await startCluster({ folder, nodes, say, signal: stopping.signal })
  if (values.json) return print(`${JSON.stringify({ kind, kubeconfig })}\n`)
  say(`Ready after ${((performance.now() - beganMs) / 1000).toFixed(1)} s. Its kubeconfig:`)
  print(`${kubeconfig}\n`)
  const where = folder === defaultFolder() ? '' : ` --state ${folder}`
  say(`End it with:  npm run cluster -- --stop${where}`)
}

function print(text: string): void {
  process.stdout.write(text)
}
