// What npm run cluster and the tests on a real Kubernetes rely on: nodes, pods, names, images, restarts, and that nothing is left.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../eventually.ts'
import { allPids, procText } from '../processes.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { buildImage } from './image.ts'
import { isAlive, markOf, type ProcessMark } from './processes.ts'
import { run } from './run.ts'
import { onTestbed } from './suites.ts'

const MINUTE_MS = 60_000
const say = (line: string) => process.stderr.write(`${line}\n`)

const DOCKERFILE = `ARG BASE
FROM $BASE AS build
WORKDIR /app
COPY answer.js .
RUN ["node", "-e", "require('fs').writeFileSync('built-by', process.version)"]

FROM $BASE
WORKDIR /app
COPY --from=build /app .
USER 1000
ENTRYPOINT ["node", "answer.js"]
`
/** Serves what the build stage wrote; with an address as argument it asks there instead and prints the answer. */
const ANSWER = `const [address] = process.argv.slice(2)
if (address) fetch(address).then((answer) => answer.text()).then(console.log)
else require('http').createServer((_, response) => {
  response.end('user ' + process.getuid() + ' built by ' + require('fs').readFileSync('built-by'))
}).listen(8080)
`
const POD_ADDRESS = ['-o', 'jsonpath={.status.podIP}']
const IMAGE = 'millhand.test/answer:1'

const MAIN = ['--conditions=millhand-source', new URL('main.ts', import.meta.url).pathname]
const folders: string[] = []
let before: string
let cluster: Cluster

afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})

onTestbed('a cluster of single processes', () => {
  beforeAll(async () => {
    before = traces()
    cluster = await startCluster({ folder: temporaryFolder(), endsWithMe: true, say })
    await cluster.loadImage({ name: IMAGE, tarball: await answerImage() })
    await cluster.kubectl(['create', 'namespace', 'restricted'])
    const level = 'pod-security.kubernetes.io/enforce=restricted'
    await cluster.kubectl(['label', 'namespace', 'restricted', level])
  }, 60 * MINUTE_MS)

  afterAll(() => cluster?.stop(), MINUTE_MS)

  test('a node is Ready', async () => {
    expect(await readyNodes(cluster)).toEqual(['node1'])
  })

  test(
    'a Service name leads from one pod to another, under restricted pod security, in an image built from a Dockerfile here',
    async () => {
      await cluster.kubectl(['apply', '-f', '-'], {
        stdin: JSON.stringify(pod('server', [], { port: 8080 })),
      })
      await cluster.kubectl([
        'expose',
        'pod',
        'server',
        '-n',
        'restricted',
        '--name=answers',
        '--port=80',
        '--target-port=8080',
      ])
      await cluster.kubectl([
        'wait',
        'pod/server',
        '-n',
        'restricted',
        '--for=condition=Ready',
        '--timeout=60s',
      ])
      const said = await whatPodSays('asker', ['http://answers'])
      expect(said).toMatch(/^user 1000 built by v\d+/)
    },
    2 * MINUTE_MS,
  )

  test('a process of this machine finds Services by name inside', async () => {
    const script = "fetch('http://answers.restricted').then((answer) => answer.text()).then(console.log)"
    expect(await saysInside(cluster, script)).toMatch(/^user 1000/)
  })

  test('a name that no Service has does not exist', async () => {
    const script = "require('dns').lookup('nobody.restricted', (error) => console.log(error.code))"
    expect(await saysInside(cluster, script)).toBe('ENOTFOUND')
  })

  test('a pod that restricted pod security forbids is refused', async () => {
    const manifest = pod('root', [])
    manifest.spec.containers[0].securityContext = {}
    const applied = cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(manifest) })
    await expect(applied).rejects.toThrow('violates PodSecurity')
  })

  test('another process goes on with the cluster of a folder', async () => {
    const again = await startCluster({ folder: join(cluster.kubeconfig, '..'), say })
    expect(await readyNodes(again)).toEqual(['node1'])
  })

  test(
    'the API server is away and comes back with what it knew; pods go on meanwhile',
    async () => {
      const address = await cluster.kubectl(['get', 'pod', 'server', '-n', 'restricted', ...POD_ADDRESS])
      await cluster.stopApiServer()
      await expect(cluster.kubectl(['get', 'pods', '--request-timeout=2s'])).rejects.toThrow('kubectl')
      const script = `fetch('http://${address}:8080').then((answer) => answer.text()).then(console.log)`
      expect(await saysInside(cluster, script)).toMatch(/^user 1000/)
      await cluster.startApiServer()
      expect(await cluster.kubectl(['get', 'pod', 'server', '-n', 'restricted', '-o', 'name'])).toBe(
        'pod/server\n',
      )
    },
    MINUTE_MS,
  )

  test(
    'a second node joins with the images of the first and runs pods that pods of the first can reach',
    async () => {
      expect(await cluster.addNode()).toBe('node2')
      expect(await readyNodes(cluster)).toEqual(['node1', 'node2'])
      const there = pod('on-second', [], { port: 8080 })
      const manifest = { ...there, spec: { ...there.spec, nodeName: 'node2' } }
      await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(manifest) })
      await cluster.kubectl([
        'wait',
        'pod/on-second',
        '-n',
        'restricted',
        '--for=condition=Ready',
        '--timeout=60s',
      ])
      const address = await cluster.kubectl(['get', 'pod', 'on-second', '-n', 'restricted', ...POD_ADDRESS])
      const said = await whatPodSays('far-asker', [`http://${address}:8080`])
      expect(said).toMatch(/^user 1000/)
    },
    2 * MINUTE_MS,
  )

  test(
    'two clusters stand side by side, and the end of one is not the end of the other',
    async () => {
      const other = await startCluster({ folder: temporaryFolder(), endsWithMe: true, say })
      try {
        const namespaces = await other.kubectl(['get', 'namespaces', '-o', 'name'])
        expect(namespaces).not.toContain('restricted')
      } finally {
        await other.stop()
      }
      expect(await readyNodes(cluster)).toEqual(['node1', 'node2'])
      const running = await cluster.kubectl([
        'get',
        'pod',
        'server',
        '-n',
        'restricted',
        '-o',
        'jsonpath={.status.phase}',
      ])
      expect(running).toBe('Running')
    },
    2 * MINUTE_MS,
  )

  test(
    'a cluster ends with the process that started it, when it asked for that',
    async () => {
      const folder = temporaryFolder()
      const script = `import { startCluster } from '${new URL('cluster.ts', import.meta.url)}'
      await startCluster({ folder: ${JSON.stringify(folder)}, endsWithMe: true })
      process.kill(process.pid, 'SIGKILL')`
      const node = [process.execPath, '--conditions=millhand-source', '--input-type=module', '-e', script]
      await expect(run(node)).rejects.toThrow('SIGKILL')
      await eventually(() => processesOf(folder).length === 0, { what: 'the end of the processes' })
      await run([process.execPath, ...MAIN, '--stop', '--state', folder])
      expect(processesOf(folder)).toEqual([])
      expect(existsSync(folder)).toBe(false)
    },
    2 * MINUTE_MS,
  )

  test(
    'a node loses its power: its pods are gone, nobody is told, and the others go on',
    async () => {
      const addressOf = (name: string) =>
        cluster.kubectl(['get', 'pod', name, '-n', 'restricted', ...POD_ADDRESS])
      const [lost, other] = await Promise.all(['on-second', 'server'].map(addressOf))
      const answers = (address: string | undefined, withinMs = 20_000) =>
        saysInside(
          cluster,
          `fetch('http://${address}:8080', { signal: AbortSignal.timeout(${withinMs}) })
            .then(() => console.log('answers'), ({ name }) => console.log(name))`,
        )
      expect(await answers(lost)).toBe('answers')
      await cluster.cutPower('node2')
      // Later the kernel would say that there is no way to it.
      expect(await Promise.all([answers(lost, 1_000), answers(other)])).toEqual(['TimeoutError', 'answers'])
      const phase = ['-o', 'jsonpath={.status.phase}']
      expect(await cluster.kubectl(['get', 'pod', 'on-second', '-n', 'restricted', ...phase])).toBe('Running')
      await expect(cluster.cutPower('node9')).rejects.toThrow('no node node9')
    },
    MINUTE_MS,
  )

  test(
    'nothing is left after the end: no process, mount, interface, namespace, control group, file',
    async () => {
      const folder = join(cluster.kubeconfig, '..')
      const running = processesOf(folder)
      expect(running.length).toBeGreaterThan(10)
      await cluster.stop()
      expect(processesOf(folder)).toEqual([])
      expect(running.filter((pid) => markOf(pid))).toEqual([])
      expect(existsSync(folder)).toBe(false)
      expect(traces()).toBe(before)
    },
    MINUTE_MS,
  )
})

onTestbed('npm run cluster', () => {
  test(
    'Ctrl-C while it comes up leaves nothing',
    async () => {
      const folder = temporaryFolder()
      const child = spawn(process.execPath, [...MAIN, '--state', folder], { stdio: 'ignore' })
      const ended = once(child, 'exit')
      await eventually(() => existsSync(join(folder, 'logs', 'kube-apiserver')), { withinMs: 20 * MINUTE_MS })
      child.kill('SIGINT')
      expect(await ended).toEqual([130, null])
      expect(processesOf(folder)).toEqual([])
      expect(existsSync(folder)).toBe(false)
    },
    30 * MINUTE_MS,
  )

  test('a folder that holds other things is refused and kept', async () => {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'thesis.txt'), 'four years')
    await expect(run([process.execPath, ...MAIN, '--state', folder])).rejects.toThrow('choose another folder')
    await run([process.execPath, ...MAIN, '--stop', '--state', folder])
    expect(readdirSync(folder)).toEqual(['thesis.txt'])
  })
})

describe('the choice of a cluster', () => {
  const choose = (variables: Record<string, string>) =>
    run([process.execPath, ...MAIN], { env: { ...process.env, MILLHAND_TEST_KUBECONFIG: '', ...variables } })

  test('none is said aloud', async () => {
    let said = ''
    const env = { ...process.env, MILLHAND_TEST_CLUSTER: 'none' }
    await run([process.execPath, ...MAIN], { env, onLine: (line) => (said += line) })
    expect(said).toContain('LEFT OUT')
  })

  test('a word it does not know is refused', async () => {
    await expect(choose({ MILLHAND_TEST_CLUSTER: 'minikube' })).rejects.toThrow('kind, testbed or none')
  })

  test('a given kubeconfig that is not there is named', async () => {
    const missing = { MILLHAND_TEST_CLUSTER: '', MILLHAND_TEST_KUBECONFIG: '/nowhere/kubeconfig' }
    await expect(choose(missing)).rejects.toThrow('/nowhere/kubeconfig')
  })
})

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-cluster-'))
  folders.push(folder)
  return folder
}

async function answerImage(): Promise<string> {
  const context = temporaryFolder()
  mkdirSync(join(context, 'image'))
  writeFileSync(join(context, 'image', 'answer.js'), ANSWER)
  const dockerfile = join(context, 'Dockerfile')
  writeFileSync(dockerfile, DOCKERFILE)
  const tarball = join(context, 'answer.tar')
  return buildImage({ name: IMAGE, dockerfile, context: join(context, 'image'), tarball, say })
}

function pod(name: string, args: string[], { port }: { port?: number } = {}) {
  const securityContext: object = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } }
  const readinessProbe = port && { httpGet: { port, path: '/' }, periodSeconds: 1 }
  const container = {
    name: 'main',
    image: IMAGE,
    args,
    securityContext,
    ...(readinessProbe && { readinessProbe }),
  }
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'restricted', labels: { app: name } },
    spec: {
      restartPolicy: 'Never',
      terminationGracePeriodSeconds: 1,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [container] as [typeof container],
    },
  }
}

async function whatPodSays(name: string, args: string[]): Promise<string> {
  await cluster.kubectl(['apply', '-f', '-'], { stdin: JSON.stringify(pod(name, args)) })
  const succeeded = '--for=jsonpath={.status.phase}=Succeeded'
  await cluster.kubectl(['wait', `pod/${name}`, '-n', 'restricted', succeeded, '--timeout=60s'])
  return cluster.kubectl(['logs', name, '-n', 'restricted'])
}

async function saysInside({ inside }: Cluster, script: string): Promise<string> {
  const child = inside([process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  child.stdout?.on('data', (text) => {
    said += text
  })
  await once(child, 'close')
  return said.trim()
}

async function readyNodes({ kubectl }: Cluster): Promise<string[]> {
  const shown = await kubectl(['get', 'nodes', '--no-headers'])
  return [...shown.matchAll(/^(\S+) +Ready /gm)].map(([, name = '']) => name)
}

/** Pids that belong to a folder's cluster: those it notes and those whose command line names the folder. */
function processesOf(folder: string): number[] {
  const file = join(folder, 'testbed.json')
  const { box, processes } = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}
  const marks: ProcessMark[] = [
    ...Object.values(box ?? {}),
    ...Object.values(processes ?? {}),
  ] as ProcessMark[]
  const naming = allPids().filter((pid) => procText(pid, 'cmdline').includes(folder))
  const noted = marks.filter(isAlive).map(({ pid }) => pid)
  return [...new Set([...noted, ...naming])].filter((pid) => pid !== process.pid)
}

/** What a cluster of this machine could leave behind, besides its folder and processes. */
function traces(): string {
  const entries = (folder: string) => (existsSync(folder) ? readdirSync(folder).sort() : [])
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
  const interfaces = entries('/sys/class/net')
  const namespaces = entries('/run/netns')
  // Of each controller's groups the first level only: deeper down others come and go while one looks.
  const controllers = entries('/sys/fs/cgroup').map((name) => `/sys/fs/cgroup/${name}`)
  const folders = ['/sys/fs/cgroup', ...controllers.filter((path) => lstatSync(path).isDirectory())]
  const groups = folders.flatMap((folder) => entries(folder).filter((name) => name.startsWith('millhand-')))
  const used = ['/var/lib/kubelet', '/var/lib/cni', '/var/lib/containerd', '/run/containerd', '/var/log/pods']
  return JSON.stringify({ mounts, interfaces, namespaces, groups, used: used.map(entries) }, null, 2)
}
