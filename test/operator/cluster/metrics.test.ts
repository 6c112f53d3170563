// What kubelet and Prometheus are told by an operator.
import { run } from '../../cluster/run.ts'
import { onCluster } from '../../cluster/suites.ts'
import { promtool } from '../../cluster/tools.ts'
import { eventually } from '../../eventually.ts'
import { type OperatorProcess, openScene, type Scene, taskQueue } from './scene.ts'

const MINUTE = { withinMs: 60_000, everyMs: 250 }

onCluster('an operator', () => {
  let scene: Scene
  beforeAll(async () => {
    scene = await openScene('metrics')
    await scene.apply(taskQueue('mail'), scene.pool('mail', { scaling: { maxReplicas: 1 } }))
    await eventually(async () => (await scene.condition('wp', 'mail', 'Ready'))?.status === 'True', MINUTE)
  }, 3_600_000)
  afterAll(() => scene?.remove(), 60_000)

  async function ask(operator: OperatorProcess, path: string): Promise<{ status: number; text: string }> {
    const script = `fetch('http://127.0.0.1:${operator.port}${path}').then(async (answer) =>
      console.log(JSON.stringify({ status: answer.status, text: await answer.text() })))`
    const asking = scene.cluster.inside([process.execPath, '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let output = ''
    for await (const chunk of asking.stdout ?? []) output += chunk
    return JSON.parse(output)
  }
  const metrics = async (operator = scene.operator) => (await ask(operator, '/metrics')).text

  test('answers its probes, leader or not', async () => {
    const second = await scene.startOperator()
    for (const operator of [scene.operator, second]) {
      expect(await ask(operator, '/healthz')).toEqual({ status: 200, text: 'ok\n' })
      await eventually(async () => (await ask(operator, '/readyz')).status === 200, MINUTE)
    }
    expect((await ask(second, '/else')).status).toBe(404)
    expect(await metrics(second)).toContain('leader_election_master_status{name="millhand"} 0')
    // Two must not both say what only one of them sees. Namespaces are watched by both.
    expect(await metrics(second)).not.toMatch(/^millhand_(?!watched_namespace_readable)\w+\{/m)
    await second.stop()
  }, 90_000)

  test('measures queues, pools, reconciles and its calls, in a form that promtool finds no fault with', async () => {
    await scene.enqueue('mail', 'sleep', [{ ms: 20_000 }, { ms: 20_000 }, { ms: 1 }, { ms: 1 }])
    const queue = `{namespace="${scene.namespace}",queue="mail"`
    const pool = `{namespace="${scene.namespace}",workerpool="mail"`
    const lines = [
      `millhand_queue_jobs${queue},state="busy"} 2`,
      `millhand_queue_jobs${queue},state="ready"} 2`,
      `millhand_redis_up${queue}} 1`,
      `millhand_workerpool_replicas${pool},kind="wanted"} 1`,
      `millhand_workerpool_replicas${pool},kind="ready"} 1`,
      `millhand_workerpool_scaling_limited${pool}} 1`,
      `millhand_scale_decisions_total${pool},reason="MaxReplicas"} 1`,
      'leader_election_master_status{name="millhand"} 1',
    ]
    let text = ''
    const missing = async () => {
      text = await metrics()
      return lines.filter((line) => !text.includes(line))
    }
    await eventually(async () => (await missing()).length === 0, MINUTE).catch(() => {})
    expect(await missing()).toEqual([])
    for (const name of [
      'millhand_queue_oldest_job_age_seconds',
      'controller_runtime_reconcile_total{controller="workerpool",result="requeue_after"}',
      'controller_runtime_reconcile_time_seconds_bucket',
      'workqueue_depth{name="taskqueue"}',
      'workqueue_queue_duration_seconds_count{name="workerpool"}',
      'rest_client_requests_total{code="200",method="PATCH"}',
      'rest_client_request_duration_seconds_count{verb="apply"}',
      'process_resident_memory_bytes',
    ])
      expect(text).toContain(name)
    await run([await promtool(), 'check', 'metrics'], { stdin: text })
  }, 120_000)

  test('forgets what is deleted', async () => {
    await scene.cluster.kubectl(['-n', scene.namespace, 'delete', 'wp,tq', 'mail', '--wait=false'])
    await eventually(
      async () => !/^millhand_\w+\{.*mail/m.test((await metrics()).replace(/^millhand_scale.*$/gm, '')),
      MINUTE,
    )
  }, 90_000)
})
