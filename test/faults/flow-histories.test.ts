// Random histories of random flows over several queues: whoever claims, settles and forwards dies before or behind any
// of its calls, or stands still in one, which arrives much later. Each result is right, each callback runs once, nothing
// runs behind a failed job, and nothing is left. On one server, and in a Cluster where each queue is on another one.
// Played without processes, so that a history is dense and comes again from its seed. Longer: MILLHAND_FLOW_HISTORIES.
import fc from 'fast-check'
import { connect, type FlowJob, type FlowRun, flow } from 'millhand/client'
import {
  type Connection,
  connectRedis,
  defaultSettings,
  openQueue,
  prefixOf,
  type Queue,
  type RedisAccess,
} from 'millhand/queue'
import { parseEnvelope } from '../../worker-runtime/src/job.ts'
import { loadScripts } from '../../worker-runtime/src/queue/scripts.ts'
import { census, keptForEver } from '../census.ts'
import { RedisCluster } from '../redis-forms.ts'
import { RedisServer } from '../redis-server.ts'

const HISTORIES = Number(process.env.MILLHAND_FLOW_HISTORIES ?? 10)
const seed = Number(process.env.MILLHAND_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
const QUEUES = ['a', 'b', 'c'] as const
/** After this nobody is thought to forward still what was taken. */
const LEASE_MS = 6_000
const SCRIPTS = loadScripts({
  clock:
    "{ math.floor((redis.call('TIME')[1] * 1000 + (redis.call('GET', KEYS[1] .. 'clock') or 0)) / 1000), 0 }",
})

interface Node {
  readonly queue: number
  readonly after: readonly number[]
  readonly fails: 'never' | 'once' | 'for good'
  readonly hasUndo: boolean
}
interface Death {
  /** So many calls a process lives. */
  readonly calls: number
  /** Its last call: never arrives, arrives and is not answered, arrives when other processes have gone on. */
  readonly last: 'lost' | 'unanswered' | 'late'
}

const nodes: fc.Arbitrary<Node[]> = fc
  .array(
    fc.record({
      queue: fc.nat(QUEUES.length - 1),
      after: fc.array(fc.nat(40), { maxLength: 4 }),
      fails: fc.oneof(
        { weight: 8, arbitrary: fc.constant('never' as const) },
        { weight: 2, arbitrary: fc.constant('once' as const) },
        { weight: 1, arbitrary: fc.constant('for good' as const) },
      ),
      hasUndo: fc.boolean(),
    }),
    { minLength: 2, maxLength: 30 },
  )
  .map((list) =>
    list.map((node, i) => ({
      ...node,
      after: i === 0 ? [] : [...new Set(node.after.map((each) => each % i))],
    })),
  )
const deaths: fc.Arbitrary<Death[]> = fc.array(
  fc.record({ calls: fc.integer({ min: 1, max: 40 }), last: fc.constantFrom('lost', 'unanswered', 'late') }),
  { minLength: 5, maxLength: 30 },
)
const shapes = fc.record({
  nodes,
  deaths,
  home: fc.nat(QUEUES.length - 1),
  callbacksIn: fc.nat(QUEUES.length - 1),
  onJobFailure: fc.constantFrom('stop' as const, 'continue' as const),
  /** Whether outcomes of jobs are kept. */
  isKept: fc.boolean(),
  /** Behind so many processes a person cancels the flow. */
  cancelledBehind: fc.option(fc.nat(12), { nil: undefined, freq: 2 }),
})

const KILLED = { evidence: 'sure', reason: 'it was killed' } as const
class Killed extends Error {}

interface Form {
  readonly access: RedisAccess
  remove(): Promise<void>
}
async function alone(): Promise<Form> {
  const server = await RedisServer.start()
  return { access: server.access, remove: () => server.remove() }
}
async function inCluster(): Promise<Form> {
  const cluster = await RedisCluster.start()
  return { access: { url: cluster.url }, remove: () => cluster.remove() }
}

/** What is known of the jobs of a flow from what processes claimed and were told. */
class Story {
  readonly completed = new Map<string, number>()
  readonly #failed = new Set<number>()
  readonly #list: readonly Node[]
  readonly #failedOnce = new Set<string>()
  #mayFail = true

  constructor(list: readonly Node[]) {
    this.#list = list
  }

  retried(): void {
    this.#mayFail = false
    this.#failed.clear()
  }

  /** Judges a claim, and answers how the attempt ends. */
  play(id: string, task: string, input: unknown): 'completed' | 'failed' | 'terminal' {
    expect([id, this.completed.get(id) ?? 0]).toEqual([id, 0])
    // Of the run before nothing comes any more.
    if (!this.#mayFail) expect(id).toMatch(/:2$/)
    const { i, results } = input as { i: number; results: unknown[] }
    const node = this.#list[i]
    if (!/^t\d+$/.test(task) || !node) return 'completed'
    expect([task, results]).toEqual([task, node.after.map((each) => `result of t${each}`)])
    expect(node.after.filter((each) => this.#failed.has(each))).toEqual([])
    if (!this.#mayFail || node.fails === 'never') return 'completed'
    if (node.fails === 'for good') {
      this.#failed.add(i)
      return 'terminal'
    }
    if (this.#failedOnce.has(id)) return 'completed'
    this.#failedOnce.add(id)
    return 'failed'
  }
}

class Stage {
  readonly queues: readonly Queue[]
  readonly #redis: Connection
  readonly #names: readonly string[]
  readonly #deaths: Death[]
  readonly #late: (() => Promise<unknown>)[] = []
  #processes = 0
  #clockMs = 0

  constructor(redis: Connection, namespace: string, deaths: readonly Death[]) {
    this.#redis = redis
    this.#names = QUEUES.map((name) => `${namespace}.${name}`)
    this.#deaths = [...deaths]
    this.queues = this.#names.map((name) => openQueue(redis, name, SCRIPTS))
  }

  /** Processes live one after the other until there is nothing to do; the last ones do not die. */
  async play(story: Story, onDeath: (processes: number) => Promise<void> = async () => {}): Promise<void> {
    for (let isOver = false; !isOver || (await this.#isOnItsWay()); ) {
      const death = this.#deaths.shift()
      this.#processes += 1
      const process = `p${this.#processes}`
      isOver = await this.#live(process, story, this.#mortal(death)).catch((error) => {
        if (error instanceof Killed) return false
        throw error
      })
      await this.#bury(process)
      await onDeath(this.#processes)
      if (isOver && this.#late.length > 0) {
        isOver = false
        while (this.#late.length > 0) await this.#arrive()
      }
    }
    for (const queue of this.queues)
      for (const { name } of await queue.workers()) await queue.reap({ worker: name, ...KILLED })
  }

  #mortal(death: Death | undefined): Connection {
    let calls = 0
    const send = async (command: Parameters<Connection['send']>[0]) => {
      calls += 1
      if (!death || calls < death.calls) return this.#redis.send(command)
      if (calls === death.calls && death.last === 'unanswered') await this.#redis.send(command)
      if (calls === death.calls && death.last === 'late') this.#late.push(() => this.#redis.send(command))
      throw new Killed()
    }
    return new Proxy(this.#redis, {
      get: (target, name) => (name === 'send' ? send : Reflect.get(target, name)),
    })
  }

  async #live(process: string, story: Story, redis: Connection): Promise<boolean> {
    const worker = `${process}:1`
    const where = { podUid: process, pod: '', poolUid: '', node: '', isolationNote: '' }
    const queues = this.#names.map((name) => openQueue(redis, name, SCRIPTS))
    for (const queue of queues)
      await queue.register({ worker, process, ...where, slots: 3, isolation: 'Spawn', version: '0' })
    for (;;) {
      let isIdle = true
      for (const queue of queues) {
        isIdle = (await queue.forward()) === 0 && isIdle
        const { claims } = await queue.settleAndClaim({ worker, wanted: 3 })
        isIdle &&= claims.length === 0
        const settlements = claims.map(({ id, token, envelope }) => {
          const { task = '', payload = '' } = parseEnvelope(envelope) ?? {}
          const verdict = story.play(id, task, JSON.parse(payload))
          const text = `1 ${task} 1\n${JSON.stringify(`result of ${task}`)}`
          return { id, token, verdict, text: verdict === 'completed' ? text : '{"outcome":"failed"}' }
        })
        if (settlements.length === 0) continue
        const { became } = await queue.settleAndClaim({ worker, settlements })
        for (const [n, { id }] of settlements.entries())
          if (became[n] === 'completed') story.completed.set(id, (story.completed.get(id) ?? 0) + 1)
      }
      if (isIdle) return true
    }
  }

  /** What it held and had taken comes free, and something that was sent long ago may arrive. */
  async #bury(process: string): Promise<void> {
    this.#clockMs += LEASE_MS
    for (const queue of this.queues) {
      await this.#redis.call('SET', `${prefixOf(queue.name)}clock`, this.#clockMs)
      await queue.reap({ worker: `${process}:1`, ...KILLED })
    }
    if (this.#processes % 3 === 0) await this.#arrive()
  }

  /** What somebody has taken who does not forward it any more. */
  async #isOnItsWay(): Promise<boolean> {
    for (const { name } of this.queues)
      if ((await this.#redis.call('EXISTS', `${prefixOf(name)}outbox`)) === 1) return true
    return false
  }

  async #arrive(): Promise<void> {
    await this.#late.shift()?.()
  }
}

/** With `continue` a job completes if it and all before it do: its state does not depend on the order. */
function expectedStates(list: readonly Node[]): string[] {
  const states: string[] = []
  for (const { after, fails } of list) {
    const isFree = after.every((each) => states[each] === 'completed')
    states.push(isFree ? (fails === 'for good' ? 'buried' : 'completed') : 'skipped')
  }
  return states
}

describe.each([
  ['on one server', alone],
  ['in a Cluster', inCluster],
])('%s', (_, start) => {
  let form: Form
  let redis: Connection
  beforeAll(async () => {
    form = await start()
    redis = connectRedis(form.access)
  }, 120_000)
  afterAll(async () => {
    redis.close()
    await form.remove()
  })

  test(`${HISTORIES} histories of any flow end as they must, whoever dies (seed ${seed})`, async () => {
    let histories = 0
    const play = async (shape: typeof shapes extends fc.Arbitrary<infer T> ? T : never) => {
      histories += 1
      const namespace = `history-${seed}-${histories}`
      const client = connect({ redis: form.access, namespace })
      const stage = new Stage(redis, namespace, shape.deaths)
      for (const queue of stage.queues)
        await queue.configure({
          ...{ ...defaultSettings, ownerUid: 'me', backoffMs: 0, maxBackoffMs: 0 },
          ...{ maxCrashes: 1_000, maxAttempts: 100 },
          ...(shape.isKept ? {} : { completedMaxCount: 0 }),
        })
      const callback = { queue: QUEUES[shape.callbacksIn] ?? 'a', input: {} }
      const built = flow('any', {
        ...{ home: QUEUES[shape.home] ?? 'a', onJobFailure: shape.onJobFailure },
        onSuccess: { ...callback, task: 'succeeded' },
        onFailure: { ...callback, task: 'failed' },
        onComplete: { ...callback, task: 'over' },
      })
      const jobs: FlowJob[] = []
      for (const [i, { queue, after, hasUndo }] of shape.nodes.entries()) {
        const input = { i, results: after.map((each) => jobs[each]?.result) }
        const undo = hasUndo && { compensate: { task: `undo${i}`, input: {} } }
        jobs.push(built.add(QUEUES[queue] ?? 'a', `t${i}`, input, { name: `t${i}`, ...undo }))
      }
      try {
        const run: FlowRun = await client.start(built)
        const story = new Story(shape.nodes)
        let said = 'none'
        await stage.play(story, async (processes) => {
          if (processes === shape.cancelledBehind) said = await run.cancel()
        })

        const isCancelled = said === 'cancelling' || said === 'cancelled'
        const wanted = expectedStates(shape.nodes)
        const isFailed = isCancelled || wanted.includes('buried')
        expect(await run.state()).toBe(isCancelled ? 'cancelled' : isFailed ? 'failed' : 'completed')
        const states = new Map((await run.details())?.flowJobs.map(({ name, state }) => [name, state]))
        for (const [i, state] of isCancelled ? [] : wanted.entries()) {
          const may = [
            ...(isFailed && shape.nodes[i]?.hasUndo && state === 'completed' ? ['compensated'] : [state]),
            ...(shape.onJobFailure === 'stop' && isFailed ? ['skipped'] : []),
          ]
          expect([`t${i}`, may]).toEqual([`t${i}`, expect.arrayContaining([states.get(`t${i}`)])])
        }
        const called = () => [...story.completed.keys()].filter((id) => id.includes(':on')).sort()
        const callbacks = ['any:onComplete', isFailed ? 'any:onFailure' : 'any:onSuccess']
        // What arrived and was not answered is known to Redis alone.
        for (const id of shape.isKept ? callbacks : [])
          expect([id, await client.queue(callback.queue).job(id).state()]).toEqual([id, 'completed'])
        expect(callbacks).toEqual(expect.arrayContaining(called()))

        story.retried()
        await run.retry()
        await stage.play(story)
        expect(await run.facts()).toMatchObject({
          ...{ state: 'completed', completed: shape.nodes.length, failed: 0, skipped: 0, enqueued: 0 },
        })
        for (const queue of stage.queues) {
          expect((await census(redis, queue.name)).problems).toEqual([])
          expect(await keptForEver(redis, queue.name)).toEqual([])
        }
      } finally {
        client.close()
      }
    }
    await fc.assert(fc.asyncProperty(shapes, play), { seed, numRuns: HISTORIES, endOnFailure: true })
  }, 1_800_000)
})
