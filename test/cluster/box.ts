// The box a test cluster lives in: a network, mount and process namespace of its own. When its keeper is killed the kernel ends every
// process in it and takes its mounts, interfaces and rules away, so nothing can be left behind. testbed.ts opens and closes it.
import { spawn } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { childrenOf, sendSignal } from '../processes.ts'
import { SERVICES } from './components.ts'
import { isAlive, kill, markOf, type ProcessMark, until } from './processes.ts'
import { run } from './run.ts'

export interface Box {
  /** The `unshare` that started the box; when it dies the kernel kills the box's first process. */
  keeper: ProcessMark
  /** The box's first process, by its pid outside. */
  first: ProcessMark
}

/** Folders that Kubernetes and containerd use whatever they are told; inside the box each is an empty one in memory. */
export const FOLDERS_OF_ITS_OWN = ['/run', '/var/lib', '/var/log']

/** Of a node's control group: kubelet, containerd and what they start, but for the pods. */
const MACHINE = 'machine'

/** The kubelet sets these, and they belong to the whole machine: inside the box it finds them set already. */
const KERNEL_SETTINGS = {
  'vm/overcommit_memory': 1,
  'vm/panic_on_oom': 0,
  'kernel/panic': 10,
  'kernel/panic_on_oops': 1,
  'kernel/keys/root_maxkeys': 1_000_000,
  'kernel/keys/root_maxbytes': 25_000_000,
}

export async function openBox(options: {
  /** binary/init.c, compiled. */
  init: string
  folder: string
  /** The box ends when this process does, however it ends. */
  endsWithMe: boolean
}): Promise<Box> {
  const words = ['--net', '--mount', '--ipc', '--pid', '--fork', '--kill-child', '--mount-proc', options.init]
  // Not this process's standard error: whoever reads it would wait for the end of the box.
  const log = join(options.folder, 'logs', 'box')
  mkdirSync(dirname(log), { recursive: true })
  const logFile = openSync(log, 'a')
  const child = spawn('unshare', options.endsWithMe ? [...words, 'until-my-input-ends'] : words, {
    detached: true,
    stdio: [options.endsWithMe ? 'pipe' : 'ignore', logFile, logFile],
  })
  closeSync(logFile)
  let failure: Error | undefined
  child.on('error', (error) => {
    failure = error
  })
  child.unref()
  if (child.stdin && 'unref' in child.stdin) (child.stdin as { unref(): void }).unref()
  let first: ProcessMark | undefined
  await until(
    () => {
      first = firstChildOf(child.pid ?? -1, options.init)
      return first || failure || child.exitCode !== null
    },
    { withinMs: 5_000, everyMs: 5 },
  )
  const keeper = markOf(child.pid ?? -1)
  if (!keeper || !first)
    throw new Error(
      'cannot make a network, mount and process namespace: this needs the capability CAP_SYS_ADMIN ' +
        `(in a container: run it privileged). ${readFileSync(log, 'utf8').trim()}`,
      { cause: failure },
    )
  const box = { keeper, first }
  try {
    await furnish(box, options.folder)
  } catch (error) {
    await closeBox(box)
    throw error
  }
  return box
}

/** The command line that runs `command` in the box. */
export function inBox(box: Box, command: readonly string[]): string[] {
  return [
    'nsenter',
    '--target',
    String(box.first.pid),
    '--net',
    '--mount',
    '--ipc',
    '--pid',
    '--',
    ...command,
  ]
}

/**
 * The command line that runs `command` in the box's network only, with the names of its Services: files and processes stay this
 * machine's. Nothing forks on the way, so the process that is started is the command.
 */
export function inNetworkOf(box: Box, resolvConf: string, command: readonly string[]): string[] {
  const script = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
  const target = ['--target', String(box.first.pid), '--net']
  return ['nsenter', ...target, '--', 'unshare', '--mount', 'sh', '-c', script, resolvConf, ...command]
}

export async function closeBox(box: Box): Promise<void> {
  kill(box.keeper)
  kill(box.first)
  const isGone = () => !isAlive(box.keeper) && !isAlive(box.first)
  if (!(await until(isGone, { withinMs: 20_000 })))
    throw new Error(`process ${box.first.pid}, the first one of a test cluster, does not end`)
}

/**
 * Control groups are not a namespace's: each node has a folder of its own in every hierarchy, below one named for the cluster. Cgroup
 * version 1 has one hierarchy a controller, version 2 one for all.
 */
export function makeControlGroups(name: string, node: string): void {
  for (const root of controlGroupRoots()) {
    for (const path of [join(root, name), join(root, name, node)]) {
      mkdirSync(path, { recursive: true })
      for (const file of ['cpuset.cpus', 'cpuset.mems'])
        if (existsSync(join(path, file)) && !existsSync(join(path, 'cgroup.controllers')))
          writeFileSync(join(path, file), readFileSync(join(dirname(path), file)))
    }
  }
}

/** The command line that runs `command` as a part of a node: it, and whatever it starts, ends with `killNode`. */
export function onNode(name: string, node: string, command: readonly string[]): string[] {
  // Not the node's own group: with cgroup version 2 one that has groups below it holds no processes.
  const group = join(nodeGroup(name, node), MACHINE)
  return ['sh', '-c', 'mkdir -p "$0" && echo 0 > "$0/cgroup.procs" && exec "$@"', group, ...command]
}

/** Its machine first, so that it cannot tell of the end of its pods; these are cut off before they end, so that they cannot say goodbye. */
export async function killNode(box: Box, name: string, node: string): Promise<void> {
  const group = nodeGroup(name, node)
  await killAll(() => processesIn(join(group, MACHINE)))
  const networks = new Map(processesIn(group).map((pid) => [networkOf(pid), pid]))
  networks.delete(networkOf(box.first.pid))
  networks.delete(undefined)
  const down = ['ip', 'link', 'set', 'eth0', 'down']
  await Promise.all(
    [...networks.values()].map((pid) => run(['nsenter', '--target', String(pid), '--net', ...down])),
  )
  await killAll(() => processesIn(group))
}

export async function removeControlGroups(name: string): Promise<void> {
  for (const root of controlGroupRoots()) {
    const top = join(root, name)
    const gone = await until(() => removeDeepestFirst(top), { withinMs: 10_000, everyMs: 50 })
    if (!gone) throw new Error(`the control group ${top} is still in use`)
  }
}

async function furnish(box: Box, folder: string): Promise<void> {
  const settings = join(folder, 'kernel-settings')
  mkdirSync(settings, { recursive: true })
  const lines = ['set -e', 'mount --make-rshared /']
  for (const path of FOLDERS_OF_ITS_OWN) lines.push(`mount -t tmpfs -o mode=755 tmpfs ${path}`)
  for (const [name, value] of Object.entries(KERNEL_SETTINGS)) {
    const file = join(settings, name.replaceAll('/', '.'))
    writeFileSync(file, `${value}\n`)
    lines.push(`[ ! -e /proc/sys/${name} ] || mount --bind '${file}' /proc/sys/${name}`)
  }
  // The API server's Service needs an address that is not loopback's, and not every kernel has dummy interfaces. Services have a route
  // so that processes of the box reach them; nothing else is reachable, and that is known at once.
  lines.push(
    'ip link set lo up',
    'ip link add eth0 type veth peer name eth1',
    'ip link set eth0 up',
    'ip link set eth1 up',
    `ip route add ${SERVICES} dev eth0`,
    'echo 1 > /proc/sys/net/ipv4/ip_forward',
  )
  await run(inBox(box, ['sh', '-c', lines.join('\n')]))
}

function firstChildOf(pid: number, program: string): ProcessMark | undefined {
  const [child] = childrenOf(pid)
  if (child === undefined) return undefined
  const isItself = readFileSync(`/proc/${child}/cmdline`, 'utf8').startsWith(program)
  return isItself ? markOf(child) : undefined
}

function controlGroupRoots(): string[] {
  const top = '/sys/fs/cgroup'
  if (existsSync(join(top, 'cgroup.controllers'))) return [top]
  return readdirSync(top, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(top, entry.name))
}

/** One hierarchy is enough: a process of a pod is in the same group of each. */
function nodeGroup(name: string, node: string): string {
  const roots = controlGroupRoots()
  const root = roots.find((path) => path.endsWith('/freezer')) ?? roots[0] ?? ''
  return join(root, name, node)
}

/** Of a group and all groups below it. */
function processesIn(group: string): number[] {
  try {
    const here = readFileSync(join(group, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
    const below = readdirSync(group, { withFileTypes: true }).filter((entry) => entry.isDirectory())
    return [...here, ...below.flatMap((entry) => processesIn(join(group, entry.name)))]
  } catch {
    return [] // it is gone meanwhile
  }
}

/** Absent when the process has ended. */
function networkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`)
  } catch {
    return undefined
  }
}

async function killAll(list: () => number[]): Promise<void> {
  const areGone = () => {
    const pids = list()
    for (const pid of pids) sendSignal(pid, 'SIGKILL')
    return pids.length === 0
  }
  if (!(await until(areGone, { withinMs: 10_000, everyMs: 5 })))
    throw new Error(`processes ${list()} do not end`)
}

function removeDeepestFirst(path: string): boolean {
  if (!existsSync(path)) return true
  try {
    for (const entry of readdirSync(path, { withFileTypes: true }))
      if (entry.isDirectory()) removeDeepestFirst(join(path, entry.name))
    rmdirSync(path)
    return true
  } catch {
    return false
  }
}
