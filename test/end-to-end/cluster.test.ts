// The way of docs/getting-started.md on Kubernetes, command by command, on a cluster that has never seen Millhand: the chart is installed, the example is
// applied, its photos are enqueued from a pod, worker pods make the thumbnails and go.
import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Cluster, startCluster } from '../cluster/cluster.ts'
import { projectImages } from '../cluster/images.ts'
import { run } from '../cluster/run.ts'
import { onTestbed } from '../cluster/suites.ts'
import { helm3 } from '../cluster/tools.ts'
import { eventually } from '../eventually.ts'

const MINUTE = { withinMs: 120_000, everyMs: 250 }

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/getting-started.md'), 'utf8')
const commands = /```sh\n(helm install[\s\S]*?)```/.exec(page)?.[1]?.trim().split('\n') ?? []

onTestbed('on a new cluster', () => {
  const home = mkdtempSync(join(tmpdir(), 'millhand-test-'))
  let cluster: Cluster
  beforeAll(async () => {
    cluster = await startCluster({ folder: join(home, 'cluster'), endsWithMe: true })
    const images = await projectImages(cluster, ['operator', 'thumbnails', 'redis'])
    await cluster.tagImage(images.operator, 'docker.io/millhand/operator:0.1.0')
    await cluster.tagImage(images.thumbnails, 'docker.io/example/thumbnails:1.0')
    await cluster.tagImage(images.redis, 'docker.io/valkey/valkey:8.1')
    symlinkSync(await helm3(), join(home, 'helm'))
  }, 3_600_000)
  afterAll(async () => {
    await cluster?.stop()
    rmSync(home, { recursive: true, force: true })
  }, 60_000)

  const environment = () => {
    const path = [home, dirname(cluster.kubectlProgram), process.env.PATH].join(':')
    const folders = { HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home }
    return { ...process.env, ...folders, PATH: path, KUBECONFIG: cluster.kubeconfig }
  }
  const sh = (command: string) =>
    run(['sh', '-ec', command], { folder: root, env: environment(), timeoutMs: 300_000 })
  /** A command that does not end by itself, ended as by Ctrl-C when it has said what it should. */
  const watchUntil = async (command: string, wanted: RegExp) => {
    const shell = spawn('sh', ['-ec', command], { cwd: root, env: environment(), detached: true })
    let said = ''
    for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (chunk) => (said += chunk))
    try {
      await eventually(() => wanted.test(said), MINUTE)
      expect(shell.exitCode).toBeNull()
      return said
    } catch (error) {
      throw new Error(`${command} says: ${said}`, { cause: error })
    } finally {
      process.kill(-(shell.pid ?? 0), 'SIGINT')
    }
  }

  test('three commands lead to thumbnails, and to no pods when all is done', async () => {
    const [install = '', apply = '', watch = ''] = commands
    expect(commands.length).toBe(3)
    expect(await sh(install)).toContain('kubectl --namespace NAMESPACE apply -f -')
    await sh(apply)
    const watching = watchUntil(watch, /^thumbnails +(\S+ +)?[1-9]/m)
    await sh('kubectl wait --for=condition=complete job/enqueue-thumbnails --timeout=240s')
    const said = await sh('kubectl logs job/enqueue-thumbnails')
    const [, enqueued] = /enqueued (\d+) jobs/.exec(said) ?? []
    expect(said).toContain(`${enqueued} thumbnails are done`)
    expect(await watching).toContain('thumbnails')
    await eventually(
      async () => (await sh('kubectl get deployment thumbnails -o jsonpath={.spec.replicas}')) === '0',
      MINUTE,
    )
    const events = () => sh('kubectl get events.events.k8s.io -o jsonpath={.items[*].reason}')
    for (const reason of ['ScaledUp', 'ScaledDown'])
      await eventually(async () => (await events()).includes(reason), { ...MINUTE, what: reason })
    const operator = await sh('kubectl logs -l app.kubernetes.io/name=millhand --tail=-1')
    expect(operator.split('\n').filter((line) => /"level":"error"|forbidden|\b403\b/.test(line))).toEqual([])
  }, 600_000)

  test('uninstalling leaves what was declared, and what runs', async () => {
    await sh('helm uninstall millhand --wait')
    expect(await sh('kubectl get taskqueues,workerpools,deployments -o name')).toBe(
      [
        'taskqueue.millhand.dev/thumbnails',
        'workerpool.millhand.dev/thumbnails',
        'deployment.apps/thumbnails',
        '',
      ].join('\n'),
    )
  }, 180_000)
})
