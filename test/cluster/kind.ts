// A cluster by kind, where a container engine answers and kind's node image is there or can be fetched. cluster.ts asks here first.
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Cluster, Settled } from './cluster.ts'
import { onThisMachine } from './given.ts'
import { asBoolean, findProgram, run } from './run.ts'
import { kind as kindProgram } from './tools.ts'

const NODE_IMAGE = 'kindest/node:v1.34.0'
const config = fileURLToPath(new URL('kind.yaml', import.meta.url))
const API_SERVER = '/etc/kubernetes/manifests/kube-apiserver.yaml'
const PUT_ASIDE = '/etc/kubernetes/kube-apiserver.yaml'

export type Engine = 'docker' | 'podman'

/** Takes 8 s at most, also where an engine or a registry does not answer. */
export async function findKind(): Promise<{ engine: Engine } | { reason: string }> {
  for (const engine of ['docker', 'podman'] as const) {
    const answers = (...args: string[]) => run([engine, ...args], { timeoutMs: 4_000 }).then(...asBoolean)
    if (!(await findProgram(engine)) || !(await answers('info'))) continue
    if ((await answers('image', 'inspect', NODE_IMAGE)) || (await answers('manifest', 'inspect', NODE_IMAGE)))
      return { engine }
    return { reason: `the image ${NODE_IMAGE} is not there and its registry does not answer` }
  }
  return { reason: 'no container engine (docker, podman) answers' }
}

export async function startKind(engine: Engine, options: Settled): Promise<Cluster> {
  const { folder, id, say, signal } = options
  const kubeconfig = join(folder, 'kubeconfig')
  const program = await kindProgram({ say, signal })
  const env = { ...process.env, KIND_EXPERIMENTAL_PROVIDER: engine }
  const running = (await run([program, 'get', 'clusters'], { env })).split('\n')
  if (!running.includes(id)) {
    say(`Starting the Kubernetes ${NODE_IMAGE} with kind and ${engine}, as ${id}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(join(folder, 'kind.json'), JSON.stringify({ engine, id }))
    const nodes = readFileSync(config, 'utf8') + '  - role: worker\n'.repeat(options.nodes - 1)
    const create = [
      program,
      'create',
      'cluster',
      '--name',
      id,
      '--kubeconfig',
      kubeconfig,
      '--image',
      NODE_IMAGE,
    ]
    try {
      await run([...create, '--wait', '180s', '--config', '-'], { env, signal, stdin: nodes, onLine: say })
    } catch (error) {
      await stopKind(folder, say)
      throw error
    }
  }
  const inApiServersNode = (...words: string[]) => run([engine, 'exec', `${id}-control-plane`, ...words])
  const cluster = onThisMachine('kind', kubeconfig, 'kind')
  return {
    ...cluster,
    stopApiServer: async () => {
      await inApiServersNode('mv', API_SERVER, PUT_ASIDE)
      await inApiServersNode('sh', '-c', 'while pgrep -x kube-apiserver > /dev/null; do sleep 0.2; done')
    },
    startApiServer: async () => {
      await inApiServersNode('mv', PUT_ASIDE, API_SERVER)
      const url = 'https://127.0.0.1:6443/readyz'
      await inApiServersNode(
        'sh',
        '-c',
        `for i in $(seq 300); do curl -fsk ${url} && exit; sleep 0.2; done; exit 1`,
      )
    },
    loadImage: async ({ tarball }) => {
      await run([program, 'load', 'image-archive', '--name', id, tarball], { env })
    },
    tagImage: async (name, as) => {
      const node = `${id}-control-plane`
      await run([engine, 'exec', node, 'ctr', '-n', 'k8s.io', 'images', 'tag', '--force', name, as], { env })
    },
    stop: async () => {
      await stopKind(folder, say)
    },
  }
}

export async function stopKind(folder: string, say: (line: string) => void): Promise<boolean> {
  const file = join(folder, 'kind.json')
  if (!existsSync(file)) return false
  const { engine, id } = JSON.parse(readFileSync(file, 'utf8')) as { engine: Engine; id: string }
  const env = { ...process.env, KIND_EXPERIMENTAL_PROVIDER: engine }
  await run([await kindProgram({ say }), 'delete', 'cluster', '--name', id], { env })
  rmSync(folder, { recursive: true, force: true })
  return true
}
