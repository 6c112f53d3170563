// Eight tenants on one cluster whose Secrets lead to servers that do what no Redis does, and one whose Redis is well. The operator lives, its
// leader stays the same, and the well tenant's jobs wait no longer than alone.
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { onTestbed } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import type { PersonaName } from '../../hostile-redis/personas.ts'
import { ask, sumOf } from './asking.ts'
import { type OperatorProcess, openScene, type Scene, taskQueue } from './scene.ts'

const MINUTE = { withinMs: 60_000, everyMs: 250 }
const SECONDS = Number(process.env.MILLHAND_TENANTS_SECONDS ?? 40)
const POOLS_EACH = 10
/** In which of these words it is told depends on what was asked last; each of the in-process suite is told in its own. */
const REASONS = ['RedisProtocolError', 'RedisDataInvalid', 'RedisUnreachable', 'RedisScriptsFail']
const TENANTS: readonly [name: string, form: string, persona: PersonaName][] = [
  ['null', 'redis', 'a SUBSCRIBE that is answered with null'],
  ['hello', 'redis', 'a HELLO that is answered with null'],
  ['garbage', 'redis', 'garbage'],
  ['endless', 'redis', 'an endless string'],
  ['nodes', 'redis+cluster', '16,384 nodes'],
  ['silent', 'redis', 'silence after the handshake'],
  ['numbers', 'redis', 'numbers that are none'],
  ['words', 'redis', 'words that are commands'],
]

onTestbed('one operator of many tenants', () => {
  let scene: Scene
  let operator: OperatorProcess
  let servers: ReturnType<Scene['cluster']['inside']>
  const namespaces: string[] = []
  beforeAll(async () => {
    scene = await openScene('well')
    const program = fileURLToPath(new URL('./hostile-servers.ts', import.meta.url))
    const args = ['--conditions=millhand-source', program, ...TENANTS.map(([, , persona]) => persona)]
    servers = scene.cluster.inside([process.execPath, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    if (!servers.stdout) throw new Error('it has no output')
    const [said] = await once(createInterface({ input: servers.stdout }), 'line')
    const ports: number[] = JSON.parse(said)
    for (const [i, [name, form]] of TENANTS.entries()) {
      const namespace = await scene.cluster.newNamespace(`tenant-${name}`)
      namespaces.push(namespace)
      const url = `${form}://127.0.0.1:${ports[i]}`
      const secret = {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'millhand-redis' },
        stringData: { url },
      }
      const queues = Array.from({ length: POOLS_EACH }, (_, n) => [taskQueue(`q${n}`), scene.pool(`q${n}`)])
      const items = [secret, ...queues.flat()]
      await scene.cluster.kubectl(['-n', namespace, 'apply', '-f', '-'], {
        stdin: JSON.stringify({ apiVersion: 'v1', kind: 'List', items }),
      })
    }
    await scene.operator.stop()
    operator = await scene.startOperator({
      MILLHAND_WATCH_NAMESPACES: [scene.namespace, ...namespaces].join(),
      // Whoever pretends to be a Redis here is on this machine.
      MILLHAND_REDIS_NETWORKS: '0.0.0.0/0',
      NODE_OPTIONS: '--max-old-space-size=300',
    })
    await scene.apply(
      taskQueue('mail'),
      scene.pool('mail', { slots: 4, scaling: { maxReplicas: 3, minReplicas: 1 } }),
    )
    await eventually(async () => (await scene.condition('wp', 'mail', 'Ready'))?.status === 'True', MINUTE)
  }, 3_600_000)
  afterAll(async () => {
    servers?.kill('SIGKILL')
    await scene?.remove()
    for (const namespace of namespaces)
      await scene?.cluster.kubectl(['delete', 'namespace', namespace, '--ignore-not-found', '--wait=false'])
  }, 120_000)

  const metrics = async () => (await ask(scene.cluster, `http://127.0.0.1:${operator.port}/metrics`)).text
  const reasonOf = async (namespace: string, what: string): Promise<string | undefined> => {
    const text = await scene.cluster.kubectl(['-n', namespace, 'get', what, '-o', 'json'])
    const conditions: { type: string; reason: string }[] = JSON.parse(text).status?.conditions ?? []
    return conditions.find(({ type }) => type === 'Ready')?.reason
  }

  test(
    'is started once, leads once, tells each what is wrong, and scales the pool of the one that is well',
    async () => {
      for (const [i, [name]] of TENANTS.entries())
        for (const what of ['tq/q0', `wp/q${POOLS_EACH - 1}`])
          await eventually(async () => REASONS.includes((await reasonOf(namespaces[i] ?? '', what)) ?? ''), {
            ...MINUTE,
            what: `what is wrong with ${what} of ${name}`,
          })
      const queue = await scene.queue('mail')
      const endsAt = performance.now() + SECONDS * 1_000
      const waitedMs: number[] = []
      let [jobs, rssMb, descriptors] = [0, 0, 0]
      const wanted = async () =>
        sumOf(await metrics(), 'millhand_workerpool_replicas', {
          workerpool: 'mail',
          namespace: scene.namespace,
          kind: 'wanted',
        })
      while (performance.now() < endsAt) {
        // More than the pod has slots: the operator has to want another one.
        const startedAt = performance.now()
        await scene.enqueue('mail', 'sleep', Array(6).fill({ ms: 3_000 }))
        jobs += 6
        await eventually(async () => (await wanted()) >= 2, { ...MINUTE, everyMs: 50 })
        waitedMs.push(Math.round(performance.now() - startedAt))
        const text = await metrics()
        rssMb = Math.max(rssMb, Math.round(sumOf(text, 'process_resident_memory_bytes') / 2 ** 20))
        descriptors = Math.max(descriptors, sumOf(text, 'process_open_fds'))
        await eventually(async () => (await queue.depth()).busy + (await queue.depth()).ready === 0, MINUTE)
      }
      await eventually(async () => (await queue.depth()).counts.completed === jobs, MINUTE)
      waitedMs.sort((a, b) => a - b)
      const lines = operator.lines.filter(
        ({ message }) => message === 'operator started' || message === 'became leader',
      )
      process.stderr.write(
        `eight hostile tenants, ${SECONDS} s: ${jobs} jobs, a pod was wanted after ${waitedMs.join(', ')} ms, ${rssMb} MB, ${descriptors} descriptors\n`,
      )
      expect(operator.process.exitCode).toBeNull()
      expect(lines.map(({ message }) => message)).toEqual(['operator started', 'became leader'])
      expect(
        operator.lines.filter(
          ({ level, message }) => level === 'error' && message !== 'scripts fail in Redis',
        ),
      ).toEqual([])
      expect(rssMb).toBeLessThan(500)
      expect(descriptors).toBeLessThan(500)
    },
    (SECONDS + 240) * 1_000,
  )
})
