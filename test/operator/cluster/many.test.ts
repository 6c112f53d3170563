// One operator with many queues and pools: what it costs while nothing happens, and how soon the first job of an empty queue is answered
// with a pod. In a cluster of its own: its controllers have their hands full with so many Deployments. The long form, with 500:
// npm run soak -- --cluster.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { startCluster } from '../../cluster/cluster.ts'
import { equipped, type SharedCluster } from '../../cluster/shared.ts'
import { onTestbed } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { ask, samplesOf, sumOf } from './asking.ts'
import { type Note, Probe } from './probed.ts'
import { type KubeJson, openScene, type Scene, taskQueue } from './scene.ts'
import { watchWorld } from './world.ts'

const COUNT = Number(process.env.MILLHAND_MANY ?? 150)
const AT_ONCE = 100
const IDLE_MS = 30_000
const FIRST_JOBS = Math.ceil(COUNT / 5)
const seed = Number(process.env.MILLHAND_COLD_SEED ?? Date.now() % 2 ** 31)
const names = Array.from({ length: COUNT }, (_, index) => `q${index}`)

onTestbed(`an operator of ${COUNT} queues and ${COUNT} pools`, () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'millhand-test-')), 'cluster')
  let cluster: SharedCluster
  let scene: Scene
  const probe = new Probe()
  const numbers: string[] = []
  beforeAll(async () => {
    cluster = await equipped(await startCluster({ folder, endsWithMe: true }))
    scene = await openScene('many', { cluster, variables: probe.variables() })
  }, 3_600_000)
  afterAll(async () => {
    process.stderr.write(`${COUNT} queues and pools: ${numbers.join('; ')}\n`)
    await scene?.remove()
    await cluster?.stop()
    probe.remove()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  const kubectl = (args: string[], stdin?: string) =>
    cluster.kubectl(['-n', scene.namespace, ...args], stdin === undefined ? {} : { stdin })
  const metrics = async () => (await ask(cluster, `http://127.0.0.1:${scene.operator.port}/metrics`)).text

  test('has all of them ready soon', async () => {
    const startedAt = performance.now()
    await createAll()
    await eventually(async () => (await notReady()) === 0, { withinMs: 300_000, everyMs: 500 })
    const readyMs = performance.now() - startedAt
    numbers.push(`all ready after ${(readyMs / 1000).toFixed(1)} s`)
    expect(readyMs).toBeLessThan(300_000)
  }, 330_000)

  test('does next to nothing while nothing happens, and writes nothing', async () => {
    await quiet()
    const [before, writtenBefore] = [await look(), await versions()]
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
    const [after, writtenAfter] = [await look(), await versions()]
    const idle = comparison(before, after)
    numbers.push(
      `idle for ${idle.seconds.toFixed(0)} s: ${(idle.cpu * 100).toFixed(1)} % of a core, RSS ${idle.rssMb.toFixed(0)} MB, ` +
        `${idle.reconciles.toFixed(0)} reconciles/s of ${idle.meanMs.toFixed(1)} ms, p99 <= ${idle.p99Ms} ms; Redis: ` +
        `${idle.scripts.toFixed(0)} calls/s, ${idle.commands.toFixed(0)} commands/s with those inside scripts`,
    )
    expect(writtenAfter).toBe(writtenBefore)
    expect(idle.writes).toBe(0)
    expect(idle.rssMb).toBeLessThan(400)
    expect(idle.cpu).toBeLessThan(0.5)
    // Otherwise it did not look at anything either.
    expect(idle.reconciles).toBeGreaterThan(COUNT / 50)
  }, 330_000)

  test('answers the first job of an empty queue at once', async () => {
    const some = { minLength: FIRST_JOBS, maxLength: FIRST_JOBS }
    const [chosen = []] = fc.sample(fc.shuffledSubarray(names, some), { seed, numRuns: 1 })
    const world = await watchWorld(cluster)
    const starts: ColdStart[] = []
    try {
      for (const name of chosen) {
        const enqueuedAtMs = wallMs()
        await scene.enqueue(name, 'echo', [1])
        const key = `${scene.namespace}/${name}`
        const written = () => world.replicasOf(key).find(({ replicas }) => replicas === 1)
        const { atMs } = await eventually(written, { withinMs: 60_000, everyMs: 2 })
        starts.push({ name, enqueuedAtMs, seenAtMs: performance.timeOrigin + atMs })
      }
    } finally {
      await world.stop()
    }
    // A watch may show the last write before its answer reached the operator.
    const stages = await eventually(() => {
      const notes = probe.notes()
      const known = starts.map((start) => stagesOf(start, notes))
      return known.every(({ request }) => request > 0) ? known : undefined
    })
    const told = (stage: keyof Stages) => `${stage} ${percentiles(stages.map((each) => each[stage]))}`
    numbers.push(
      `from the first job to the written replicas, ${FIRST_JOBS} times (seed ${seed}; ms at p50, p90, p99, most): ` +
        (['whole', 'news', 'queued', 'look', 'plan', 'request', 'watch'] as const).map(told).join(', '),
    )
    expect(
      percentile(
        stages.map(({ whole }) => whole),
        0.99,
      ),
    ).toBeLessThan(5_000)
  }, 330_000)

  async function createAll(): Promise<void> {
    // Nothing ever starts, not even on the node: only the operator is to have work.
    const absent = { image: 'millhand.test/no-such:1', imagePullPolicy: 'Never' }
    const idle = (name: string) => {
      const pool: KubeJson = scene.pool(name, { scaling: { maxReplicas: 1 } }, absent)
      pool.spec.template.spec.nodeSelector = { 'millhand.test/no-such': 'node' }
      return pool
    }
    const create = async (objects: object[]) => {
      for (let at = 0; at < objects.length; at += AT_ONCE) {
        const list = { apiVersion: 'v1', kind: 'List', items: objects.slice(at, at + AT_ONCE) }
        await kubectl(['create', '-f', '-', '-o', 'name'], JSON.stringify(list))
      }
    }
    const queues = names.map((name) => taskQueue(name))
    const pools = names.map(idle)
    await Promise.all([create(queues), create(pools)])
  }

  async function notReady(): Promise<number> {
    const path = '{range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}'
    const told = await kubectl(['get', 'tq,wp', '-o', `jsonpath=${path}`])
    return 2 * COUNT - told.split('\n').filter((status) => status === 'True').length
  }

  /** Of everything that the operator writes. */
  function versions(): Promise<string> {
    const path = '{range .items[*]}{.kind}/{.metadata.name} {.metadata.resourceVersion}{"\\n"}{end}'
    return kubectl(['get', 'tq,wp,deployments,events.events.k8s.io', '-o', `jsonpath=${path}`])
  }

  /** The cluster's controllers have done with the Deployments, and the last words of the operator have been written. */
  async function quiet(): Promise<void> {
    let last = ''
    await eventually(
      async () => {
        const before = last
        last = await versions()
        return last === before
      },
      { withinMs: 120_000, everyMs: 10_000, what: 'the end of all writing' },
    )
  }

  async function look() {
    const told = String(await (await scene.redis()).call('INFO', 'all'))
    const numberIn = (pattern: RegExp) => Number(pattern.exec(told)?.[1] ?? 0)
    return {
      metrics: await metrics(),
      commands: numberIn(/total_commands_processed:(\d+)/),
      scripts: numberIn(/cmdstat_evalsha:calls=(\d+)/) + numberIn(/cmdstat_eval:calls=(\d+)/),
      atMs: performance.now(),
    }
  }

  type Looked = Awaited<ReturnType<typeof look>>
  function comparison(before: Looked, after: Looked) {
    const grown = (name: string, labels = {}) =>
      sumOf(after.metrics, name, labels) - sumOf(before.metrics, name, labels)
    const time = 'controller_runtime_reconcile_time_seconds'
    const seconds = (after.atMs - before.atMs) / 1000
    const reconciles = grown(`${time}_count`)
    const bounds = new Set(samplesOf(after.metrics, `${time}_bucket`).map(({ labels }) => labels.le ?? ''))
    const p99 = [...bounds].find((le) => grown(`${time}_bucket`, { le }) >= reconciles * 0.99)
    return {
      seconds,
      cpu: grown('process_cpu_seconds_total') / seconds,
      rssMb: sumOf(after.metrics, 'process_resident_memory_bytes') / 2 ** 20,
      reconciles: reconciles / seconds,
      meanMs: (grown(`${time}_sum`) / reconciles) * 1000,
      p99Ms: Number(p99) * 1000,
      // The lease is put, all else is patched or posted.
      writes: ['PATCH', 'POST'].reduce(
        (sum, method) => sum + grown('rest_client_requests_total', { method }),
        0,
      ),
      commands: (after.commands - before.commands) / seconds,
      scripts: (after.scripts - before.scripts) / seconds,
    }
  }

  interface ColdStart {
    name: string
    enqueuedAtMs: number
    seenAtMs: number
  }

  /** What a cold start is made of, in order; ms. */
  interface Stages {
    whole: number
    /** From the call of the client to the operator's ear. */
    news: number
    /** Until the reconcile looks at Redis. */
    queued: number
    look: number
    plan: number
    /** The API server writes the Deployment. */
    request: number
    /** Until a watch shows it. */
    watch: number
  }

  function stagesOf({ name, enqueuedAtMs, seenAtMs }: ColdStart, notes: readonly Note[]): Stages {
    const prefix = `mh:{${scene.namespace}.${name}}:`
    const path = `PATCH /apis/apps/v1/namespaces/${scene.namespace}/deployments/${name}?`
    const isIt = (note: Note, kind: Note['kind'], what: string) =>
      note.kind === kind && note.what.startsWith(what)
    const first = (kind: Note['kind'], what: string, fromMs: number) =>
      notes.find((note) => note.atMs >= fromMs && isIt(note, kind, what))?.atMs ?? Number.NaN
    const last = (kind: Note['kind'], what: string, untilMs: number) =>
      notes.findLast((note) => note.atMs <= untilMs && isIt(note, kind, what))?.atMs ?? Number.NaN
    const heard = first('message', `${prefix}stirred`, enqueuedAtMs)
    const sent = first('write', path, enqueuedAtMs)
    const answered = first('answer', path, sent)
    // A look that was on its way when the job came may have seen it: then it was asked for before anybody heard.
    const known = last('answer', `depth ${prefix}`, sent)
    const asked = last('read', `workers ${prefix}`, known)
    return {
      whole: seenAtMs - enqueuedAtMs,
      news: heard - enqueuedAtMs,
      queued: Math.max(0, asked - heard),
      look: known - asked,
      plan: sent - known,
      request: answered - sent,
      watch: seenAtMs - answered,
    }
  }
})

const wallMs = () => performance.timeOrigin + performance.now()

function percentile(numbers: readonly number[], part: number): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN
}

function percentiles(numbers: readonly number[]): string {
  return [0.5, 0.9, 0.99, 1].map((part) => percentile(numbers, part).toFixed(1)).join(' ')
}
