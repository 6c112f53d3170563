// What happens to an operator: the API server goes away and comes back, the leader is killed. many.test.ts shows that it writes nothing
// while nothing happens, leaders.test.ts that two with running pods become quiet.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startCluster } from '../../cluster/cluster.ts'
import { equipped, type SharedCluster } from '../../cluster/shared.ts'
import { onTestbed } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { type OperatorProcess, openScene, type Scene, taskQueue } from './scene.ts'

const MINUTE = { withinMs: 60_000, everyMs: 100 }

onTestbed('an operator', () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'millhand-test-')), 'cluster')
  let cluster: SharedCluster
  let scene: Scene
  let operator: OperatorProcess
  beforeAll(async () => {
    cluster = await equipped(await startCluster({ folder, endsWithMe: true }))
    scene = await openScene('disturbed', { cluster })
    operator = scene.operator
    await scene.apply(taskQueue('mail'), scene.pool('mail', { scaling: { minReplicas: 2 } }))
    await ready(2)
  }, 3_600_000)
  afterAll(async () => {
    await scene?.remove()
    await cluster?.stop()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  const ready = (count: number) =>
    eventually(async () => (await scene.get('wp', 'mail')).status?.readyReplicas === count, MINUTE)
  const completed = async () => (await (await scene.queue('mail')).depth()).counts.completed
  const leads = ({ lines }: OperatorProcess) => lines.some(({ message }) => message === LEADING)
  const LEADING = 'became leader'

  test('holds everything while the API server is away for half a minute, and goes on within half a minute', async () => {
    const before = await scene.get('deployment', 'mail')
    await cluster.stopApiServer()
    await new Promise((resolve) => setTimeout(resolve, 30_000))
    expect(operator.process.exitCode).toBe(null)
    await cluster.startApiServer()
    const backAt = performance.now()
    expect((await scene.get('deployment', 'mail')).spec).toEqual(before.spec)
    await scene.apply(scene.pool('mail', { scaling: { minReplicas: 3 } }))
    await eventually(async () => (await scene.get('deployment', 'mail')).spec.replicas === 3, MINUTE)
    const tookMs = Math.round(performance.now() - backAt)
    process.stderr.write(`the operator went on ${tookMs} ms after the API server was back\n`)
    expect(tookMs).toBeLessThan(30_000)
    expect(operator.process.exitCode).toBe(null)
    expect(operator.lines.filter(({ level }) => level === 'error')).toEqual([])
    // When the third pod comes is up to the cluster's own controllers: they take a minute and more to go on.
  }, 180_000)

  test('that leads and is killed is followed by the other one within 25 s, and never do two write', async () => {
    const other = await scene.startOperator()
    await eventually(() => leads(operator), MINUTE)
    await eventually(
      () => other.lines.some(({ message }) => message === 'another instance is the leader'),
      MINUTE,
    )
    const already = await completed()
    const killedAt = performance.now()
    await operator.stop('SIGKILL')
    await eventually(() => leads(other), MINUTE)
    const tookMs = performance.now() - killedAt
    process.stderr.write(`the other operator led ${Math.round(tookMs)} ms after the first was killed\n`)
    expect(tookMs).toBeLessThan(25_000)
    await scene.enqueue('mail', 'echo', [1, 2, 3])
    await eventually(async () => (await completed()) === already + 3, MINUTE)

    const third = await scene.startOperator()
    const toldAt = performance.now()
    await other.stop('SIGTERM')
    await eventually(() => leads(third), MINUTE)
    expect(performance.now() - toldAt).toBeLessThan(10_000)
    const ended = () => other.lines.findLast(({ message }) => message === 'lost leadership')
    const end = await eventually(ended, MINUTE)
    const start = third.lines.find(({ message }) => message === LEADING)
    expect(String(end.time) <= String(start?.time)).toBe(true)
  }, 180_000)
})
