// Two operators that write at once, by two leases over one namespace: pools live as with one, and neither undoes what the other did.
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onCluster } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { livePool } from './life.ts'
import { Probe } from './probed.ts'
import { type OperatorProcess, openScene, type Scene, taskQueue } from './scene.ts'
import { type World, watchWorld } from './world.ts'

const STAGE = { withinMs: 60_000, everyMs: 50 }
/** Longer than the last words about what happened may wait. */
const QUIET_MS = 17_000

onCluster('of operators that lead at once', () => {
  let cluster: SharedCluster
  let world: World
  beforeAll(async () => {
    cluster = await sharedCluster()
    world = await watchWorld(cluster)
  }, 3_600_000)
  afterAll(() => world?.stop(), 60_000)

  let scene: Scene | undefined
  const probes: Probe[] = []
  afterEach(async () => {
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
    eventually(() => lines.some(({ message }) => message === 'Leading'), STAGE)
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
})
