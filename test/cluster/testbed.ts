// Kubernetes as single processes of this machine, in a box of their own (box.ts): started in order, kept by pid in one folder, and
// ended together. cluster.ts starts it where nobody gives a cluster and there is no kind.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { freePort } from '../free-port.ts'
import { type ApiAccess, call, isFound, isNodeReady } from './api.ts'
import { areBinariesBuilt, buildBinaries, isLinked, kubernetesVersion } from './binary.ts'
import {
  type Box,
  closeBox,
  FOLDERS_OF_ITS_OWN,
  inBox,
  inNetworkOf,
  killNode,
  makeControlGroups,
  onNode,
  openBox,
  removeControlGroups,
} from './box.ts'
import type { Cluster, Settled } from './cluster.ts'
import {
  apiServer,
  type Component,
  clusterFiles,
  containerd,
  controllers,
  dnsService,
  etcd,
  kubelet,
  type Layout,
  type Node,
  nodeFiles,
  nodeNumber,
  PAUSE_IMAGE,
} from './components.ts'
import { packImage } from './image.ts'
import { makeKeys, type Secrets } from './keys.ts'
import {
  installPackages,
  mayProtectFromOom,
  missingPackages,
  networkPlugins,
  reasonsAgainst,
  snapshotterFor,
} from './needs.ts'
import { end, isAlive, markOf, type ProcessMark, startDetached, until } from './processes.ts'
import { lastLines, run } from './run.ts'

/** What testbed.json says: enough to go on with the cluster, or to end it, from another process. */
interface State {
  startedBy: ProcessMark
  isUp: boolean
  layout: Layout
  secrets: Secrets
  nodes: number
  box?: Box
  processes: Record<string, ProcessMark>
}

const stateFile = (folder: string) => join(folder, 'testbed.json')

export const isTestbed = (folder: string) => existsSync(stateFile(folder))

/** Says what will be installed and started; fails where it cannot be. */
export async function checkTestbed({ folder, nodes, say }: Settled): Promise<void> {
  const binaryIsBuilt = areBinariesBuilt()
  const reasons = await reasonsAgainst({ binaryIsBuilt })
  const foreign = FOLDERS_OF_ITS_OWN.find((path) => `${folder}/`.startsWith(`${path}/`))
  if (foreign)
    reasons.push(`its folder may not lie under ${foreign}, which it hides from itself: choose another one`)
  if (existsSync(folder) && readdirSync(folder).length > 0 && !existsSync(stateFile(folder)))
    reasons.push(`${folder} holds things that are not a test cluster's: choose another folder`)
  if (reasons.length > 0)
    throw new Error(
      `no Kubernetes for tests on this machine:\n${reasons.map((reason) => `- ${reason}`).join('\n')}\n` +
        'Or give one with MILLHAND_TEST_KUBECONFIG, or leave these tests out with MILLHAND_TEST_CLUSTER=none.',
    )
  if (existsSync(stateFile(folder))) return
  const missing = await missingPackages()
  say(
    missing.length > 0
      ? `Will install with apt-get: ${missing.join(' ')}`
      : 'Nothing to install: all programs are there',
  )
  if (!binaryIsBuilt) say(`Will build Kubernetes ${kubernetesVersion()} with Go, once, into the cache`)
  say(
    `Will start etcd, Kubernetes ${kubernetesVersion()}, CoreDNS, and containerd for ${nodes} node(s), in namespaces of their own`,
  )
}

export async function startTestbed(options: Settled): Promise<Cluster> {
  const { folder } = options
  const known = readState(folder)
  if (known?.isUp && isAlive(known.box?.first)) return new Testbed(known, options)
  if (isBeingStarted(folder)) {
    options.say(`Process ${known?.startedBy.pid} is starting a cluster in ${folder}: waiting for it`)
    await until(() => !isBeingStarted(folder), { withinMs: 600_000, everyMs: 100, signal: options.signal })
    return startTestbed(options)
  }
  await stopTestbed(folder)
  const packages = await missingPackages()
  if (packages.length > 0) await installPackages(packages)
  const binaries = await buildBinaries(options)
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const layout = await layoutOf(options, binaries)
  const startedBy = markOf(process.pid) ?? { pid: process.pid, startedAtTicks: 0 }
  const secrets = { token: '', certificate: '' }
  const state: State = { startedBy, isUp: false, layout, secrets, nodes: 0, processes: {} }
  if (!claimFolder(state)) return startTestbed(options)
  const testbed = new Testbed(state, options)
  try {
    await testbed.start()
    return testbed
  } catch (error) {
    const lastWords = testbed.lastWords()
    await stopTestbed(folder)
    options.signal?.throwIfAborted()
    const message = error instanceof Error ? error.message : String(error)
    throw new Error(`the cluster did not come up: ${message}\n${lastWords}`, { cause: error })
  }
}

/** In whatever state it is, also when whoever started it was killed half way. False when there is none in this folder. */
export async function stopTestbed(folder: string): Promise<boolean> {
  const state = readState(folder)
  if (!state) return false
  await end(state.processes.forward)
  if (state.box) await closeBox(state.box)
  await removeControlGroups(state.layout.controlGroup)
  rmSync(folder, { recursive: true, force: true })
  return true
}

function isBeingStarted(folder: string): boolean {
  const state = readState(folder)
  return state !== undefined && !state.isUp && isAlive(state.startedBy)
}

/** False when another process that starts a cluster in this folder was first. */
function claimFolder(state: State): boolean {
  const file = stateFile(state.layout.folder)
  const mine = `${file}.${process.pid}`
  writeFileSync(mine, JSON.stringify(state), { mode: 0o600 })
  try {
    return isLinked(mine, file)
  } finally {
    rmSync(mine)
  }
}

async function layoutOf({ folder, id, nodeGraceSeconds }: Settled, binaries: string): Promise<Layout> {
  return {
    folder,
    port: await freePort(),
    binaries,
    networkPlugins: networkPlugins() ?? '',
    snapshotter: await snapshotterFor(folder),
    mayProtectFromOom: mayProtectFromOom(),
    controlGroup: id,
    ...(nodeGraceSeconds && { nodeGraceSeconds }),
  }
}

class Testbed implements Cluster {
  readonly kind = 'testbed'
  readonly kubeconfig: string
  #state: State
  readonly #options: Settled

  constructor(state: State, options: Settled) {
    this.#state = state
    this.#options = options
    this.kubeconfig = join(state.layout.folder, 'kubeconfig')
  }

  async start(): Promise<void> {
    const { layout } = this.#state
    const { folder, binaries } = layout
    const { endsWithMe, nodes, say } = this.#options
    this.#state.secrets = await makeKeys(folder)
    this.#write(clusterFiles(layout, this.#state.secrets))
    this.#state.box = await openBox({ init: join(binaries, 'init'), folder, endsWithMe })
    this.#save()
    this.#startComponent(etcd(layout))
    this.#startComponent(apiServer(layout))
    this.#startForwarding()
    const preparing = Array.from({ length: nodes }, () => this.#prepareNode())
    await allOf([this.#apiServerIsReady(), ...preparing])
    for (const component of controllers(layout)) this.#startComponent(component)
    for (const { path, object } of dnsService()) await this.#create(path, object)
    for (const node of preparing) this.#joinNode(await node)
    await this.#wait('the nodes to be Ready', async () => {
      for (let number = 1; number <= nodes; number++)
        if (!(await isNodeReady(this.#access, nodeNumber(number).name))) return false
      return true
    })
    const account = '/api/v1/namespaces/default/serviceaccounts/default'
    await this.#wait('the first service account', () => isFound(this.#access, account))
    await this.#wait('CoreDNS', () => this.#hasUdpPort(53))
    this.#state.isUp = true
    say(`kubectl of the same version: ${this.kubectlProgram}`)
    this.#save()
  }

  get kubectlProgram(): string {
    return join(this.#state.layout.binaries, 'kubectl')
  }

  kubectl: Cluster['kubectl'] = (args, options = {}) =>
    run([this.kubectlProgram, `--kubeconfig=${this.kubeconfig}`, ...args], options)

  inside: Cluster['inside'] = (command, options = {}) => {
    const resolvConf = join(this.#state.layout.folder, 'resolv.conf')
    const [program = '', ...args] = inNetworkOf(this.#box, resolvConf, command)
    const env = { ...(options.env ?? process.env), KUBECONFIG: this.kubeconfig }
    return spawn(program, args, { ...options, env })
  }

  async stopApiServer(): Promise<void> {
    this.#look()
    // It waits for those who watch; they would come back only to be refused.
    await end(this.#state.processes['kube-apiserver'], { patienceMs: 2_000 })
  }

  async startApiServer(): Promise<void> {
    this.#look()
    this.#startComponent(apiServer(this.#state.layout))
    await this.#apiServerIsReady()
  }

  async loadImage({ name, tarball }: Parameters<Cluster['loadImage']>[0]): Promise<void> {
    this.#look()
    for (let number = 1; number <= this.#state.nodes; number++) {
      const there = await this.#ctr(nodeNumber(number), ['images', 'list', '--quiet', `name==${name}`])
      if (there.trim() === '') await this.#ctr(nodeNumber(number), ['images', 'import', tarball])
    }
  }

  async tagImage(name: string, as: string): Promise<void> {
    this.#look()
    for (let number = 1; number <= this.#state.nodes; number++)
      await this.#ctr(nodeNumber(number), ['images', 'tag', '--force', name, as])
  }

  /** It has the images of the first node. */
  async addNode(): Promise<string> {
    this.#look()
    const node = await this.#prepareNode()
    await this.#copyImages(nodeNumber(1), node)
    this.#joinNode(node)
    await this.#wait(`${node.name} to be Ready`, () => isNodeReady(this.#access, node.name))
    return node.name
  }

  async stopKubelet(name: string): Promise<void> {
    this.#look()
    await end(this.#state.processes[kubelet(this.#state.layout, this.#node(name)).name])
  }

  async startKubelet(name: string): Promise<void> {
    this.#look()
    this.#joinNode(this.#node(name))
    await this.#wait(`${name} to be Ready`, () => isNodeReady(this.#access, name))
  }

  async cutPower(name: string): Promise<void> {
    this.#look()
    await killNode(this.#box, this.#state.layout.controlGroup, this.#node(name).name)
  }

  async stop(): Promise<void> {
    await stopTestbed(this.#state.layout.folder)
  }

  /** What the components that ended by themselves wrote last, or all of them when none did. */
  lastWords(): string {
    const { processes } = this.#state
    const ended = Object.keys(processes).filter((name) => !isAlive(processes[name]))
    return (ended.length > 0 ? ended : Object.keys(processes))
      .filter((name) => existsSync(this.#log(name)))
      .map((name) => `--- ${name}:\n${lastLines(readFileSync(this.#log(name), 'utf8'), 5)}`)
      .join('\n')
  }

  get #box(): Box {
    if (!this.#state.box) throw new Error('this cluster does not run')
    return this.#state.box
  }

  get #access(): ApiAccess {
    return { port: this.#state.layout.port, ...this.#state.secrets }
  }

  #node(name: string): Node {
    for (let number = 1; number <= this.#state.nodes; number++)
      if (nodeNumber(number).name === name) return nodeNumber(number)
    throw new Error(`this cluster has no node ${name}`)
  }

  /** Folders, control groups and containerd with the pause image; no kubelet yet. */
  async #prepareNode(): Promise<Node> {
    const { layout } = this.#state
    const node = nodeNumber(++this.#state.nodes)
    this.#write(nodeFiles(layout, node))
    makeControlGroups(layout.controlGroup, node.name)
    await run(inBox(this.#box, ['ip', 'address', 'add', `${node.address}/24`, 'dev', 'eth0']))
    this.#startOnNode(node, containerd(layout, node))
    const answers = () =>
      this.#ctr(node, ['version']).then(
        () => true,
        () => false,
      )
    await this.#wait(`${node.name}'s containerd`, answers)
    const pause = join(layout.folder, node.name, 'pause.tar')
    await packImage({
      files: { '/pause': join(layout.binaries, 'init') },
      name: PAUSE_IMAGE,
      entrypoint: ['/pause'],
      tarball: pause,
    })
    await this.#ctr(node, ['images', 'import', pause])
    return node
  }

  #joinNode(node: Node): void {
    this.#startOnNode(node, kubelet(this.#state.layout, node))
  }

  async #copyImages(from: Node, to: Node): Promise<void> {
    const listed = await this.#ctr(from, ['images', 'list', '--quiet'])
    const names = listed
      .split('\n')
      .filter((name) => name && !name.startsWith('sha256:') && name !== PAUSE_IMAGE)
    if (names.length === 0) return
    const tarball = join(this.#state.layout.folder, to.name, 'images.tar')
    await this.#ctr(from, ['images', 'export', tarball, ...names])
    await this.#ctr(to, ['images', 'import', tarball])
    rmSync(tarball)
  }

  #ctr(node: Node, args: readonly string[]): Promise<string> {
    return run(inBox(this.#box, ['ctr', '--address', node.socket, '--namespace', 'k8s.io', ...args]))
  }

  /** The API server answers on this machine's loopback too, at the port it has inside. */
  #startForwarding(): void {
    const { binaries, port } = this.#state.layout
    const command = [join(binaries, 'forward'), `127.0.0.1:${port}`, String(this.#box.first.pid)]
    this.#started('forward', startDetached(command, this.#log('forward')))
  }

  #startComponent({ name, command }: Component): void {
    this.#started(name, startDetached(inBox(this.#box, command), this.#log(name)))
  }

  #startOnNode(node: Node, { name, command }: Component): void {
    this.#startComponent({ name, command: onNode(this.#state.layout.controlGroup, node.name, command) })
  }

  #started(name: string, mark: ProcessMark): void {
    this.#state.processes[name] = mark
    this.#save()
  }

  async #apiServerIsReady(): Promise<void> {
    await this.#wait('the API server', () => isFound(this.#access, '/readyz'))
  }

  async #create(path: string, object: object): Promise<void> {
    const { status, body } = await call(this.#access, path, { method: 'POST', object })
    if (status !== 201) throw new Error(`the API server refused ${path}: ${body}`)
  }

  /** The kernel shows the sockets of the network namespace of the process that is asked about. */
  #hasUdpPort(port: number): boolean {
    const local = `:${port.toString(16).toUpperCase().padStart(4, '0')} `
    return ['udp', 'udp6'].some((table) =>
      readFileSync(`/proc/${this.#box.first.pid}/net/${table}`, 'utf8').includes(local),
    )
  }

  async #wait(what: string, look: () => unknown): Promise<void> {
    const { signal } = this.#options
    const { processes } = this.#state
    const isThereOrLost = async () => {
      const lost = Object.keys(processes).find((name) => !isAlive(processes[name]))
      if (lost && this.#state.isUp === false) throw new Error(`${lost} ended while waiting for ${what}`)
      return look()
    }
    if (!(await until(isThereOrLost, { withinMs: 90_000, everyMs: 50, signal })))
      throw new Error(`waited 90 s for ${what}`)
  }

  #log(name: string): string {
    return join(this.#state.layout.folder, 'logs', name)
  }

  #write(files: Record<string, string>): void {
    for (const [path, text] of Object.entries(files)) {
      const whole = join(this.#state.layout.folder, path)
      mkdirSync(dirname(whole), { recursive: true })
      writeFileSync(whole, text, { mode: 0o600 })
    }
  }

  /** Another process may have added a node or started the API server since. */
  #look(): void {
    this.#state = readState(this.#state.layout.folder) ?? this.#state
  }

  #save(): void {
    const file = stateFile(this.#state.layout.folder)
    writeFileSync(`${file}.new`, JSON.stringify(this.#state, null, 2), { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }
}

function readState(folder: string): State | undefined {
  const file = stateFile(folder)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as State) : undefined
}

/** As Promise.all, but when one fails it waits for the others, so that nothing goes on behind the back of who cleans up. */
async function allOf(promises: Promise<unknown>[]): Promise<void> {
  await Promise.allSettled(promises)
  await Promise.all(promises)
}
