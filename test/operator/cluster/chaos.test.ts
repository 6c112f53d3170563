// Everything at once in a cluster: workers, containers, pods and the operator are killed, the API server and Redis go away and come back,
// templates are rolled out, while jobs run. Random, but from a seed that stands in every message, with all that was done. In a cluster of
// its own, which it hurts. The long form: npm run soak -- --cluster.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { startCluster } from '../../cluster/cluster.ts'
import { equipped, type SharedCluster } from '../../cluster/shared.ts'
import { onTestbed } from '../../cluster/suites.ts'
import { eventually } from '../../eventually.ts'
import { sendSignal } from '../../processes.ts'
import { POD_UID_VARIABLE, type RecordedQueue, recordedQueue, recordedTasks } from './history.ts'
import { keepRedisData, reachRedis, redisProcess } from './redis.ts'
import { type KubeJson, type OperatorProcess, openScene, type Scene, taskQueue } from './scene.ts'
import { containerOf, podsOfPools, podsWithWorkers } from './workers.ts'

const SECONDS = Number(process.env.MILLHAND_CHAOS_SECONDS ?? 75)
const seed = Number(process.env.MILLHAND_CHAOS_SEED ?? Date.now() % 2 ** 31)

const FAULTS = [
  'kill a worker',
  'kill a worker',
  'kill a container',
  'kill a child',
  'kill a child',
  'delete a pod by force',
  'delete a pod',
  'evict a pod',
  'kill the operator',
  'stop the API server',
  'restart Redis',
  'freeze Redis',
  'roll out',
] as const
type Fault = (typeof FAULTS)[number]

const POOLS = [
  { name: 'steady', queues: ['steady', 'shared'], slots: 2, least: 2, most: 4, isolation: { mode: 'Fork' } },
  {
    name: 'busy',
    queues: ['busy', 'shared'],
    slots: 4,
    least: 1,
    most: 3,
    isolation: { mode: 'Reuse', reuse: { jobsAtOnce: 2 } },
  },
] as const
const QUEUES = ['steady', 'busy', 'shared']
const RETRY = { maxAttempts: 100, maxCrashes: 100, backoff: { baseSeconds: 0, maxSeconds: 1 } }
/** The kubelet waits longer before each restart of a container: 0, 10, 20 s. */
const MOST_REDIS_RESTARTS = 3
/** A container that was killed five times waits so long for its next start. */
const CALM_WITHIN_MS = 400_000

onTestbed(`chaos in a cluster (seed ${seed})`, () => {
  const folder = join(mkdtempSync(join(tmpdir(), 'millhand-test-')), 'cluster')
  const done: string[] = []
  let cluster: SharedCluster
  let scene: Scene
  let redis: Awaited<ReturnType<typeof reachRedis>>
  let queues: RecordedQueue[] = []
  let operator: OperatorProcess
  let redisRestarts = 0
  let version = 0
  beforeAll(async () => {
    cluster = await equipped(await startCluster({ folder, endsWithMe: true }))
    scene = await openScene('chaos', { cluster })
    operator = scene.operator
    await keepRedisData(scene)
    await scene.apply(recordedTasks())
    redis = await reachRedis(scene)
    queues = QUEUES.map((name) => recordedQueue(redis.connection, scene.namespace, name))
    const retention = { completed: { maxAgeSeconds: 86_400, maxCount: 10_000_000 } }
    await scene.apply(...QUEUES.map((name) => taskQueue(name, { retry: RETRY, retention })))
    await applyPools()
    await calm()
  }, 3_600_000)
  afterAll(async () => {
    redis?.close()
    await scene?.remove()
    await cluster?.stop()
    for (const { history } of queues) history.remove()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)

  test(
    `of ${SECONDS} s: each job ends exactly once, nothing is left over, and the pools are as declared`,
    async () => {
      try {
        const endAt = performance.now() + SECONDS * 1_000
        const loads = queues.map((queue, at) => load(queue, seed + at, () => performance.now() > endAt))
        await Promise.all([hurtUntil(endAt), ...loads])
        await jobsEnd()
        await calm()
        expect(await judgement()).toEqual([])
        const operators = operator.lines.filter(({ level }) => level === 'error')
        expect({ ended: operator.process.exitCode, errors: operators }).toEqual({ ended: null, errors: [] })
      } catch (error) {
        throw new Error(`${(error as Error).message}\nseed ${seed}, faults:\n${done.join('\n')}`, {
          cause: error,
        })
      }
    },
    (SECONDS + 60) * 1_000 + 2 * CALM_WITHIN_MS,
  )

  function applyPools(): Promise<void> {
    const env = [POD_UID_VARIABLE, { name: 'VERSION', value: String(version) }]
    return scene.apply(
      ...POOLS.map(({ name, queues: served, slots, least, most, isolation }) => {
        const spec = {
          queues: served.map((queue) => ({ name: queue })),
          slots,
          isolation,
          drain: { timeoutSeconds: 5 },
          scaling: {
            minReplicas: least,
            maxReplicas: most,
            behavior: { scaleDown: { stabilizationWindowSeconds: 2 } },
          },
        }
        return scene.pool(name, spec, { env })
      }),
    )
  }

  async function load(queue: RecordedQueue, itsSeed: number, isOver: () => boolean): Promise<void> {
    const batches = fc.record({
      short: fc.nat(3),
      shortMs: fc.nat(1_500),
      long: fc.constantFrom(0, 0, 0, 0, 1),
      longMs: fc.integer({ min: 3_000, max: 7_000 }),
      failing: fc.constantFrom(0, 0, 1),
      pauseMs: fc.integer({ min: 200, max: 1_800 }),
    })
    for (const batch of fc.sample(batches, { seed: itsSeed, numRuns: SECONDS * 5 })) {
      if (isOver()) return
      const { short, shortMs, long, longMs, failing } = batch
      await queue.enqueue('naps', [
        ...Array.from({ length: 1 + short }, () => ({ ms: shortMs })),
        ...Array.from({ length: long }, () => ({ ms: longMs })),
      ])
      if (failing > 0) await queue.enqueue('fails-once', [{}])
      await pause(batch.pauseMs)
    }
  }

  async function hurtUntil(endAt: number): Promise<void> {
    const dice = fc.record({ pick: fc.nat(1_000), waitMs: fc.nat(4_000) })
    // All of them before the first comes again.
    const rounds = fc.shuffledSubarray([...FAULTS], { minLength: FAULTS.length })
    const faults = fc.sample(rounds, { seed, numRuns: Math.ceil(SECONDS / FAULTS.length) + 1 }).flat()
    const throws = fc.sample(dice, { seed, numRuns: faults.length })
    const startedAt = performance.now()
    for (const [at, fault] of faults.entries()) {
      if (performance.now() > endAt) return
      const { pick, waitMs } = throws[at] ?? { pick: 0, waitMs: 0 }
      const said = `${((performance.now() - startedAt) / 1000).toFixed(1)} s: ${fault}`
      const detail = await hurt(fault, pick, waitMs)
      done.push(`${said} ${detail}`)
      await pause(waitMs)
    }
  }

  /** What it did, in words. */
  async function hurt(fault: Fault, pick: number, waitMs: number): Promise<string> {
    switch (fault) {
      case 'kill a worker':
      case 'kill a container':
      case 'kill a child':
        return kill(fault, pick, await livePods())
      case 'delete a pod by force':
        return withPod(pick, (name) =>
          kubectl(['delete', 'pod', name, '--grace-period=0', '--force', '--ignore-not-found']),
        )
      case 'delete a pod':
        return withPod(pick, (name) => kubectl(['delete', 'pod', name, '--wait=false', '--ignore-not-found']))
      case 'evict a pod':
        return withPod(pick, evict)
      case 'roll out':
        version += 1
        await applyPools()
        return `version ${version}`
      case 'kill the operator':
        await operator.stop('SIGKILL')
        await pause(waitMs)
        operator = await scene.startOperator()
        return `for ${waitMs} ms`
      case 'stop the API server':
        return withoutApiServer(pick, waitMs)
      case 'restart Redis':
        redisRestarts += 1
        if (redisRestarts > MOST_REDIS_RESTARTS) return freezeRedis()
        sendSignal(await redisProcess(scene), 'SIGTERM')
        return ''
      case 'freeze Redis':
        return freezeRedis()
    }
  }

  /** Its death is a worker's, or that of all at once, as when the kernel ends a container that has used up its memory. */
  function kill(
    fault: 'kill a worker' | 'kill a container' | 'kill a child',
    pick: number,
    pods: KubeJson[],
  ) {
    const pod = pods[pick % Math.max(1, pods.length)]
    const container = pod && containerOf(pod.metadata.uid)
    if (!container) return 'but none runs'
    const { first, others } = container
    const victims = {
      'kill a worker': [first],
      'kill a container': [...others, first],
      'kill a child': others.slice(pick % Math.max(1, others.length)).slice(0, 1),
    }[fault]
    for (const pid of victims) sendSignal(pid, 'SIGKILL')
    return `${pod.metadata.name}: ${victims.length} of ${1 + others.length} processes`
  }

  async function withPod(pick: number, act: (name: string) => Promise<unknown>): Promise<string> {
    const pods = await livePods()
    const name = pods[pick % Math.max(1, pods.length)]?.metadata.name
    if (name) await act(name)
    return name ?? 'but there is none'
  }

  /** A pod that has gone meanwhile needs no eviction. */
  function evict(name: string): Promise<string> {
    const path = `/api/v1/namespaces/${scene.namespace}/pods/${name}/eviction`
    const metadata = { name, namespace: scene.namespace }
    return kubectl(['create', '--raw', path, '-f', '-'], {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata,
    }).catch((error: Error) => {
      if (!error.message.includes('(NotFound)')) throw error
      return ''
    })
  }

  /** A worker dies meanwhile, and nobody can tell the operator. */
  async function withoutApiServer(pick: number, waitMs: number): Promise<string> {
    const pods = await livePods()
    await cluster.stopApiServer()
    const killed = kill('kill a worker', pick, pods)
    await pause(1_000 + 2 * waitMs)
    await cluster.startApiServer()
    return `for ${1_000 + 2 * waitMs} ms; meanwhile a worker is killed: ${killed}`
  }

  async function freezeRedis(): Promise<string> {
    const pid = await redisProcess(scene)
    sendSignal(pid, 'SIGSTOP')
    await pause(3_000)
    sendSignal(pid, 'SIGCONT')
    return 'for 3 s'
  }

  async function jobsEnd(): Promise<void> {
    const areQuiet = async () => (await Promise.all(queues.map((queue) => queue.isQuiet()))).every(Boolean)
    await eventually(areQuiet, { what: 'the end of all jobs', withinMs: CALM_WITHIN_MS, everyMs: 200 })
  }

  /** The pools are as declared, in the API server, on this machine and in Redis. */
  async function calm(): Promise<void> {
    let notYet: string[] = []
    const look = async () => {
      notYet = await whatIsNotAsDeclared()
      return notYet.length === 0
    }
    await eventually(look, { withinMs: CALM_WITHIN_MS, everyMs: 1_000 }).catch((error) => {
      throw new Error(`the pools do not become as they are declared: ${notYet.join('; ')}`, { cause: error })
    })
  }

  async function whatIsNotAsDeclared(): Promise<string[]> {
    const [{ items }, pods] = await Promise.all([scene.get('wp,deployments'), podsOfPools(scene)])
    const ofKind = (wanted: string) => items.filter((item: KubeJson) => item.kind === wanted)
    const uids = ofKind('WorkerPool').map(({ metadata }: KubeJson) => metadata.uid)
    const seen = {
      deployments: ofKind('Deployment').map(({ metadata }: KubeJson) => metadata.name),
      running: podsWithWorkers(uids),
      registered: (await Promise.all(queues.map(({ queue }) => queue.workers()))).map((workers) =>
        workers.map(({ podUid }) => podUid),
      ),
    }
    const namesOf = (list: readonly string[]) => [...list].sort().join(', ')
    const differs = (what: string, is: readonly string[], expected: readonly string[]) =>
      namesOf(is) === namesOf(expected) ? [] : [`${what}: ${namesOf(is)} instead of ${namesOf(expected)}`]
    const uidsOf = (list: readonly KubeJson[]) => list.map(({ metadata }) => metadata.uid)
    const served = (name: string) =>
      pods.filter((pod) =>
        POOLS.find((pool) => pool.name === poolOf(pod))?.queues.some((queue) => queue === name),
      )
    return [
      ...differs('Deployments', seen.deployments, ['redis', ...POOLS.map(({ name }) => name)]),
      ...differs('workers of this machine', seen.running, uidsOf(pods)),
      ...queues.flatMap(({ name }, at) =>
        differs(`workers in ${name}`, seen.registered[at] ?? [], uidsOf(served(name))),
      ),
      ...ofKind('WorkerPool').flatMap((pool: KubeJson) => {
        const least = POOLS.find(({ name }) => name === pool.metadata.name)?.least
        const deployment = ofKind('Deployment').find(
          ({ metadata }: KubeJson) => metadata.name === pool.metadata.name,
        )
        const its = pods.filter((pod) => poolOf(pod) === pool.metadata.name)
        const numbers = {
          wanted: pool.status?.desiredReplicas,
          written: deployment?.spec.replicas,
          pods: its.length,
          well: its.filter(isWell).length,
          inStatus: pool.status?.readyReplicas,
        }
        const isAsDeclared = Object.values(numbers).every((number) => number === least)
        return isAsDeclared ? [] : [`${pool.metadata.name}: ${JSON.stringify(numbers)} instead of ${least}`]
      }),
    ]
  }

  async function judgement(): Promise<string[]> {
    const found: string[] = []
    let starts = 0
    let jobs = 0
    for (const queue of queues) {
      await queue.readHistory()
      // Some jobs fail once by themselves.
      found.push(...(await queue.judge({ faults: done.length + 1 })))
      starts += queue.history.of('started').length
      jobs += queue.history.of('acknowledged').length
    }
    process.stderr.write(
      `chaos, seed ${seed}: ${done.length} faults, ${jobs} jobs, ${starts} starts\n${done.join('\n')}\n`,
    )
    return found
  }

  const kubectl = (args: string[], object?: object) =>
    cluster.kubectl(['-n', scene.namespace, ...args], object ? { stdin: JSON.stringify(object) } : {})
  const livePods = async () =>
    (await podsOfPools(scene)).filter(({ metadata }) => !metadata.deletionTimestamp)
})

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
const poolOf = ({ metadata }: KubeJson) => metadata.labels['millhand.dev/pool']
const isWell = ({ metadata, status }: KubeJson) =>
  !metadata.deletionTimestamp &&
  status.conditions?.some(({ type, status: is }: KubeJson) => type === 'Ready' && is === 'True')
