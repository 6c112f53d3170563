// Leader elections on a Lease of a real API server.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { silent } from 'millhand/queue'
import { connectKube, type Kube, kinds } from '../../../operator/src/kube/client.ts'
import { LeaderElection, type LeaseStore } from '../../../operator/src/kube/leader.ts'
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'

jest.setTimeout(30_000)

const durations = { leaseMs: 3_000, renewDeadlineMs: 2_000, retryMs: 200 }

onCluster('an election on a Lease', () => {
  let cluster: SharedCluster
  let namespace: string
  let kube: Kube
  const stopping: (() => Promise<void>)[] = []
  beforeAll(async () => {
    cluster = await sharedCluster()
    namespace = await cluster.newNamespace('lease')
    kube = connectKube({ kubeconfig: cluster.kubeconfig })
  }, 3_600_000)
  afterEach(async () => {
    for (const stop of stopping.splice(0)) await stop()
  })
  afterAll(async () => {
    kube?.close()
    await cluster?.deleteNamespace(namespace)
  })

  function stand(identity: string, store: LeaseStore, onStarted = () => {}) {
    const candidate = new LeaderElection({
      identity,
      store,
      log: silent,
      onStarted,
      onStopped() {},
      durations,
    })
    const ending = new AbortController()
    const running = candidate.run(ending.signal)
    const stop = async () => {
      ending.abort()
      await running
    }
    stopping.push(stop)
    return { candidate, stop }
  }

  const leaseNamed = (name: string) =>
    kube.get<{ metadata: { labels?: object }; spec: { renewTime?: string } }>(kinds.lease, namespace, name)

  test('one of two leads; when it ends, the other leads at its next look, without waiting for an expiry', async () => {
    const [a, b] = ['a', 'b'].map((identity) => stand(identity, kube.leases(namespace, 'two')))
    await eventually(() => a?.candidate.isLeader || b?.candidate.isLeader)
    const [first, second] = a?.candidate.isLeader ? [a, b] : [b, a]
    const before = await leaseNamed('two')
    const renewTimeOf = (lease: Awaited<ReturnType<typeof leaseNamed>>) => lease?.spec.renewTime
    await eventually(async () => renewTimeOf(await leaseNamed('two')) !== renewTimeOf(before))
    expect(second?.candidate.isLeader).toBe(false)
    await first?.stop()
    expect(first?.candidate.isLeader).toBe(false)
    const releasedAtMs = performance.now()
    await eventually(() => second?.candidate.isLeader)
    expect(performance.now() - releasedAtMs).toBeLessThan(durations.leaseMs - durations.retryMs)
    expect((await leaseNamed('two'))?.spec).toMatchObject({ leaseTransitions: 1, leaseDurationSeconds: 3 })
  })

  test('a leader whose calls get no answer knows that it leads no more before another does', async () => {
    const store = kube.leases(namespace, 'hanging')
    let isHanging = false
    const through = <T>(act: () => Promise<T>) => (isHanging ? new Promise<T>(() => {}) : act())
    const hanging: LeaseStore = {
      read: () => through(() => store.read()),
      create: (lease) => through(() => store.create(lease)),
      update: (lease) => through(() => store.update(lease)),
    }
    const a = stand('a', hanging)
    await eventually(() => a.candidate.isLeader)
    let didBothLead: boolean | undefined
    const b = stand('b', kube.leases(namespace, 'hanging'), () => {
      didBothLead = a.candidate.isLeader
    })
    isHanging = true
    await eventually(() => !a.candidate.isLeader)
    expect(b.candidate.isLeader).toBe(false)
    await eventually(() => b.candidate.isLeader)
    expect(didBothLead).toBe(false)
    isHanging = false
  })

  test('a leader whose process stood still leads no more when it goes on, and another leads', async () => {
    const other = startOther(cluster.kubeconfig, namespace)
    stopping.push(other.end)
    await eventually(() => other.lines.at(-1) === 'leads')
    const b = stand('b', kube.leases(namespace, 'stopped'))
    other.process.kill('SIGSTOP')
    await eventually(() => b.candidate.isLeader)
    const told = other.lines.length
    other.process.kill('SIGCONT')
    await eventually(() => other.lines.length > told + 20)
    // What it had seen before it stood still may be said, or read, late; from the first look on it knows.
    expect(other.lines.slice(told + 1).filter((line) => line !== 'leads not')).toEqual([])
    expect(b.candidate.isLeader).toBe(true)
  })

  test('leaves the labels of the Lease as they are', async () => {
    const a = stand('a', kube.leases(namespace, 'labelled'))
    await eventually(() => a.candidate.isLeader)
    await cluster.kubectl(['label', 'lease', 'labelled', '-n', namespace, 'owner=me'])
    await a.stop()
    const lease = await leaseNamed('labelled')
    expect(lease?.metadata.labels).toEqual({ owner: 'me' })
    expect(await kube.leases(namespace, 'labelled').read()).toMatchObject({ holder: '', durationSeconds: 1 })
  })

  test('its store fails with 409 where somebody else was first', async () => {
    const store = kube.leases(namespace, 'contested')
    expect(await store.read()).toBeUndefined()
    const renewTime = '2026-01-02T03:04:05.678Z'
    const lease = { holder: 'a', durationSeconds: 15, transitions: 0, acquireTime: renewTime, renewTime }
    const created = await store.create(lease)
    expect(created).toMatchObject({
      ...lease,
      acquireTime: '2026-01-02T03:04:05.678000Z',
      renewTime: '2026-01-02T03:04:05.678000Z',
    })
    await expect(store.create(lease)).rejects.toMatchObject({ status: 409, reason: 'AlreadyExists' })
    await store.update({ ...created, transitions: 1 })
    await expect(store.update({ ...created, holder: 'b' })).rejects.toMatchObject({
      status: 409,
      reason: 'Conflict',
    })
  })
})

/** A candidate in a process of its own that says every 10 ms whether it leads. */
function startOther(kubeconfig: string, namespace: string) {
  const pathOf = (file: string) => fileURLToPath(new URL(`../../../operator/src/${file}`, import.meta.url))
  const program = `
    import { connectKube } from ${JSON.stringify(pathOf('kube/client.ts'))}
    import { LeaderElection } from ${JSON.stringify(pathOf('kube/leader.ts'))}
    const log = { debug() {}, info() {}, warn() {}, error() {} }
    const store = connectKube({ kubeconfig: ${JSON.stringify(kubeconfig)} }).leases(${JSON.stringify(namespace)}, 'stopped')
    const candidate = new LeaderElection({
      identity: 'other', store, log, onStarted() {}, onStopped() {}, durations: ${JSON.stringify(durations)},
    })
    setInterval(() => process.stdout.write(candidate.isLeader ? 'leads\\n' : 'leads not\\n'), 10)
    candidate.run(new AbortController().signal)`
  const node = ['--conditions=millhand-source', '--disable-warning=ExperimentalWarning']
  const args = [...node, '--input-type=module-typescript', '--eval', program]
  const process: ChildProcess = spawn(globalThis.process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  if (process.stdout) createInterface(process.stdout).on('line', (line) => lines.push(line))
  const end = async () => {
    const ended = once(process, 'exit')
    process.kill('SIGKILL')
    await ended
  }
  return { process, lines, end }
}
