// More operators than one that write: two leases over one namespace, and a leader that stood still for longer than its lease and wakes up in
// the middle of what it was about to do.

import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { claimsOf } from '../../handed-back.ts'
import { livePool } from './life.ts'
import { Probe } from './probed.ts'
import { type OperatorProcess, openScene, type Scene, taskQueue } from './scene.ts'
import { type World, watchWorld } from './world.ts'

const STAGE = { withinMs: 60_000, everyMs: 50 }
/** Longer than the last words about what happened may wait. */
const QUIET_MS = 17_000
/** Shorter than the long jobs: a busy pod that is removed hands its job back, which is claimed twice then. */
const drain = { timeoutSeconds: 1 }
const behavior = { scaleDown: { stabilizationWindowSeconds: 1 } }

onCluster('of operators that lead at once', () => {
  let cluster: SharedCluster
  let world: World
  beforeAll(async () => {
    cluster = await sharedCluster()
    world = await watchWorld(cluster)
  }, 3_600_000)
  afterAll(() => world?.stop(), 60_000)

  let scene: Scene | undefined
  let frozen: OperatorProcess | undefined
  const probes: Probe[] = []
  afterEach(async () => {
    frozen?.process.kill('SIGCONT')
    frozen = undefined
    await scene?.remove()
    scene = undefined
    for (const probe of probes.splice(0)) probe.remove()
  }, 60_000)

  const newProbe = () => {
    const probe = new Probe()
    probes.push(probe)
    return probe
  }
  const leads = ({ lines }: OperatorProcess) =>
    eventually(() => lines.some(({ message }) => message === 'became leader'), STAGE)
  /** To the API server, but for leases. */
  const writesOf = (probe: Probe) =>
    probe
      .notes()
      .filter(({ kind, what }) => kind === 'write' && / \/apis?\//.test(what) && !what.includes('/leases'))

  test('two bring pools through their lives together, and then both are quiet', async () => {
    const [a, b] = [newProbe(), newProbe()]
    scene = await openScene('leaders', { cluster, variables: a.variables() })
    const other = await scene.startOperator({ ...b.variables(), MILLHAND_LEASE_NAME: 'other' })
    await Promise.all([leads(scene.operator), leads(other)])
    const startedAt = performance.now()
    await Promise.all(['one', 'two'].map((name) => livePool(scene!, world, name)))
    const tookMs = performance.now() - startedAt
    for (const probe of [a, b]) expect(writesOf(probe).length).toBeGreaterThan(0)

    await scene.apply(taskQueue('last'), scene.pool('last', { scaling: { minReplicas: 2 } }))
    await eventually(() => world.pools.get(`${scene?.namespace}/last`)?.status?.readyReplicas === 2, STAGE)
    const writtenAtMs = () => [a, b].flatMap(writesOf).map(({ atMs }) => atMs)
    await eventually(() => Date.now() - Math.max(...writtenAtMs()) > QUIET_MS, {
      withinMs: 120_000,
      everyMs: 1_000,
      what: 'a quiet while',
    })
    process.stderr.write(
      `two leaders for ${(tookMs / 1000).toFixed(0)} s: ${writesOf(a).length} and ${writesOf(b).length} writes\n`,
    )
  }, 300_000)

  test('one that stood still while it was about to remove idle pods does not remove them when they are busy again', async () => {
    const [a, b] = [newProbe(), newProbe()]
    // Created, scaled up, scaled in.
    scene = await openScene('frozen', { cluster, variables: a.variables('SIGSTOP before 3 /deployments/') })
    const { operator, namespace } = scene
    frozen = operator
    await leads(operator)
    const other = await scene.startOperator(b.variables())
    const key = `${namespace}/mail`
    const replicas = (): number => world.deployments.get(key)?.spec.replicas
    const uids = () => world.livePods(key).map(({ metadata }) => metadata.uid)
    const scaling = { maxReplicas: 3, behavior }
    await scene.apply(taskQueue('mail'), scene.pool('mail', { slots: 1, drain, scaling }))
    await eventually(() => replicas() === 0, { ...STAGE, what: 'a Deployment without pods' })
    const queue = await scene.queue('mail')
    const sleepers = (ms: number) => scene?.enqueue('mail', 'sleep', [{ ms }, { ms }, { ms }]) ?? []
    await sleepers(2_000)
    const isFrozen = () => a.notes().some(({ kind }) => kind === 'strike')
    await eventually(isFrozen, { ...STAGE, what: 'the moment before pods are removed' })
    await eventually(async () => (await queue.depth()).counts.completed === 3, STAGE)
    const jobs = await sleepers(500_000)
    await leads(other)
    await eventually(async () => (await queue.depth()).busy === 3, { ...STAGE, what: 'three busy pods' })
    const pods = uids()
    expect(pods).toHaveLength(3)

    const written = writesOf(a).length
    operator.process.kill('SIGCONT')
    await eventually(() => operator.lines.some(({ message }) => message === 'lost leadership'), STAGE)
    // As long as a pod takes to be told and to end.
    await new Promise((resolve) => setTimeout(resolve, 5_000))
    expect(uids()).toEqual(pods)
    expect(replicas()).toBe(3)
    expect(writesOf(a).length).toBe(written)
    for (const id of jobs) expect(await queue.job(id)).toMatchObject({ state: 'held', attempts: 1 })
    for (const id of jobs) await queue.cancel(id)
    await eventually(() => replicas() === 0 && world.livePods(key).length === 0, STAGE)
    const claimed = await claimsOf(queue, 6)
    expect((await queue.depth()).counts).toMatchObject({ claimed, completed: 3, cancelled: 3, lost: 0 })
  }, 240_000)
})
