// Random histories of one flow, run against the real scripts in a real Redis and against the model (flow-model.ts), step by
// step: starts, ends of all kinds, jobs that are added, cancellations, retries (from a job on too), and a clock that reaches its deadline. Behind
// each step the census recounts its counters.
import fc from 'fast-check'
import { flow } from 'millhand/client'
import { type Connection, connectRedis, defaultSettings, newJob, openQueue, type Queue } from 'millhand/queue'
import { flowHead } from '../../../worker-runtime/src/queue/flows.ts'
import type { Claim } from '../../../worker-runtime/src/queue/hold.ts'
import { census } from '../../census.ts'
import { redisUrl } from '../../redis.ts'
import { BEGIN_MS, NOTHING, scripts, setClock } from './clocked-queues.ts'
import { FlowModel, type ModelFlowOptions } from './flow-model.ts'

const RUNS = Number(process.env.MILLHAND_MODEL_RUNS ?? 40)
const worker = 'p:1'
const NO_RETRY = { maxAttempts: 1 }

/** Who waits for whom, and who can be undone. */
const SHAPES: Record<string, Record<string, { after: string[]; hasUndo: boolean }>> = {
  diamond: {
    a: { after: [], hasUndo: true },
    b: { after: ['a'], hasUndo: true },
    c: { after: ['a'], hasUndo: false },
    d: { after: ['b', 'c'], hasUndo: false },
    e: { after: [], hasUndo: true },
  },
  chain: {
    a: { after: [], hasUndo: true },
    b: { after: ['a'], hasUndo: true },
    c: { after: ['b'], hasUndo: true },
    d: { after: ['c'], hasUndo: false },
  },
  fan: {
    a: { after: [], hasUndo: false },
    ...Object.fromEntries(
      ['b', 'c', 'd', 'e', 'g'].map((name) => [name, { after: ['a'], hasUndo: name < 'd' }]),
    ),
    h: { after: ['b', 'c', 'd', 'e', 'g'], hasUndo: false },
  },
}

interface Real {
  queue: Queue
  redis: Connection
  held: Claim[]
  /** Callbacks that have been claimed. */
  called: string[]
  added: number
}
type Step = (model: FlowModel, real: Real) => Promise<void>

const nameOf = (id: string) => id.split(':')[1] ?? ''
const isCallback = (id: string) => nameOf(id).startsWith('on')
const at = (real: Real, ms: number) => setClock(real.redis, real.queue, ms)

const starting =
  (shape: string, options: ModelFlowOptions): Step =>
  async (model, { queue }) => {
    if (model.state !== 'none') return
    const { policy, expiresInMs } = options
    const callback = (task: string) => ({ queue: 'q', task })
    const built = flow('f', {
      ...{ onJobFailure: policy, ...(expiresInMs !== undefined && { expiresInMs }) },
      ...{ onSuccess: callback('success'), onFailure: callback('failure'), onComplete: callback('complete') },
    })
    const jobs = SHAPES[shape] ?? {}
    const made = new Map<string, ReturnType<typeof built.add>>()
    for (const [name, { after, hasUndo }] of Object.entries(jobs)) {
      const before = after.flatMap((each) => made.get(each) ?? [])
      const compensate = hasUndo ? { compensate: { task: 'undo', options: NO_RETRY } } : {}
      made.set(
        name,
        built.add('q', 'task', before[0]?.result ?? null, {
          ...NO_RETRY,
          ...compensate,
          name,
          after: before,
        }),
      )
    }
    expect(await queue.flows.start(built.plan(queue.name, () => queue.name))).toBe(true)
    model.start(options, jobs)
  }

const claiming =
  (wanted: number): Step =>
  async (model, real) => {
    const { claims } = await real.queue.settleAndClaim({ worker, wanted })
    for (const claim of claims) {
      if (isCallback(claim.id)) {
        expect(model.callbacks).toContain(claim.id)
        expect(real.called).not.toContain(claim.id)
        real.called.push(claim.id)
      } else {
        const name = nameOf(claim.id)
        expect(model.enqueued()).toContain(name)
        expect(model.mayRun(name)).toBe(true)
        Object.assign(model.jobs.get(name) ?? {}, { isHeld: true, hasBegun: true })
      }
      real.held.push(claim)
    }
  }

const settling =
  (which: number, verdict: 'completed' | 'failed' | 'handed-back'): Step =>
  async (model, real) => {
    const [claim] = real.held.splice(which % Math.max(1, real.held.length), 1)
    if (!claim) return
    const { id, token } = claim
    const text = verdict === 'completed' ? '1 task 1\n1' : '{"outcome":"failed"}'
    const job = model.jobs.get(nameOf(id))
    const isOver = isCallback(id) ? 'completed' : verdict
    const settlements = [{ id, token, verdict: isOver, text: isOver === 'completed' ? '1 task 1\n1' : text }]
    expect((await real.queue.settleAndClaim({ worker, settlements })).became).not.toContain('not-yours')
    if (isCallback(id) || !job) return
    if (verdict === 'completed') model.ended(nameOf(id), 'completed')
    else if (job.isCancelling) model.ended(nameOf(id), 'cancelled')
    else if (verdict === 'failed') model.ended(nameOf(id), 'buried')
    else job.isHeld = false
  }

const adding: Step = async (model, real) => {
  const claim = real.held.find(({ id }) => !isCallback(id) && !id.includes('.undo'))
  if (!claim) return
  real.added += 1
  const name = `${nameOf(claim.id)}.${real.added}`
  const job = newJob('task', null, NO_RETRY)
  const { queue } = real
  const wanted = { name, queue: queue.name, head: flowHead(job, queue.name), payload: 'null', after: [] }
  expect(await queue.flows.add(claim.id, wanted)).toBe(model.add(nameOf(claim.id), name))
}

const cancellingJob =
  (which: number): Step =>
  async (model, { queue }) => {
    const names = model.enqueued()
    const name = names[which % Math.max(1, names.length)]
    if (name === undefined) return
    const { run = 1 } = model.jobs.get(name) ?? {}
    await queue.cancel(`f:${name}${run === 1 ? '' : `:${run}`}`)
    model.ended(name, 'cancelled')
  }

const purging: Step = async (model, real) => {
  const names = model.enqueued()
  await real.queue.purge(['ready'])
  for (const id of model.callbacks) if (!real.called.includes(id)) real.called.push(id)
  for (const name of names) model.ended(name, 'deleted')
}

const cancelling: Step = async (model, { queue }) => {
  await queue.flows.cancel('f')
  model.cancel()
}

const retrying: Step = async (model, { queue }) => {
  const said = await queue.flows.retry('f')
  expect(said === 'running' && model.state !== 'running').toBe(model.retry())
}

const retryingFrom =
  (which: number): Step =>
  async (model, { queue }) => {
    const names = [...model.jobs.keys()].filter((name) => !name.endsWith('.undo'))
    const from = names[which % Math.max(1, names.length)]
    if (from === undefined) return
    const said = await queue.flows.retry('f', { from })
    expect(said === 'running' && model.state !== 'running').toBe(model.retry(from))
  }

const waiting =
  (ms: number): Step =>
  async (model, real) => {
    model.nowMs += ms
    await at(real, model.nowMs)
    await real.queue.renew(worker)
    model.expire()
  }

async function compare(model: FlowModel, { queue, redis }: Real): Promise<void> {
  await queue.forward()
  expect((await census(redis, queue.name)).problems).toEqual([])
  const details = await queue.flows.details('f')
  expect(details?.state ?? 'none').toBe(model.state)
  const states = Object.fromEntries((details?.flowJobs ?? []).map(({ name, state }) => [name, state]))
  expect(states).toEqual(model.states())
  if (details) expect(details.because !== undefined).toBe(model.hasFailed)
}

const steps = fc.oneof(
  {
    weight: 6,
    arbitrary: fc
      .integer({ min: 1, max: 4 })
      .map((wanted) => ({ what: `claim ${wanted}`, step: claiming(wanted) })),
  },
  {
    weight: 8,
    arbitrary: fc
      .tuple(fc.nat(9), fc.constantFrom('completed', 'completed', 'completed', 'failed', 'handed-back'))
      .map(([which, verdict]) => ({
        what: `${verdict} ${which}`,
        step: settling(which, verdict as 'completed'),
      })),
  },
  { weight: 2, arbitrary: fc.constant({ what: 'add', step: adding }) },
  {
    weight: 1,
    arbitrary: fc.nat(9).map((which) => ({ what: `cancel job ${which}`, step: cancellingJob(which) })),
  },
  { weight: 1, arbitrary: fc.constant({ what: 'purge', step: purging }) },
  { weight: 1, arbitrary: fc.constant({ what: 'cancel', step: cancelling }) },
  { weight: 2, arbitrary: fc.constant({ what: 'retry', step: retrying }) },
  {
    weight: 2,
    arbitrary: fc.nat(9).map((which) => ({ what: `retry from ${which}`, step: retryingFrom(which) })),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(400, 2_000).map((ms) => ({ what: `${ms} ms`, step: waiting(ms) })),
  },
)
const histories = fc.record({
  shape: fc.constantFrom(...Object.keys(SHAPES)),
  options: fc.record({
    policy: fc.constantFrom('stop' as const, 'continue' as const),
    expiresInMs: fc.constantFrom(undefined, undefined, 1_000),
  }),
  steps: fc.array(
    steps.map(({ what, step }) =>
      Object.assign(step, { toString: () => what, [fc.toStringMethod]: () => what }),
    ),
    { minLength: 5, maxLength: 50, size: 'max' },
  ),
})

test(
  'a flow and its model agree after every step, and each callback comes once',
  async () => {
    const redis = connectRedis(redisUrl())
    await redis.ready()
    let tried = 0
    try {
      await fc.assert(
        fc.asyncProperty(histories, async ({ shape, options, steps }) => {
          tried += 1
          const queue = openQueue(redis, `flow-model.${process.pid}-${tried}`, scripts)
          const model = new FlowModel(BEGIN_MS)
          const real: Real = { queue, redis, held: [], called: [], added: 0 }
          await at(real, model.nowMs)
          await queue.configure({ ...defaultSettings, ownerUid: 'test' })
          await queue.register({ ...NOTHING, worker, process: 'p', podUid: 'u', slots: 100 })
          for (const step of [starting(shape, options), ...steps]) {
            await step(model, real)
            await compare(model, real)
          }
          // Then all goes well.
          for (let left = 200; left > 0 && (model.enqueued().length > 0 || real.held.length > 0); left -= 1) {
            await claiming(100)(model, real)
            await settling(0, 'completed')(model, real)
            await compare(model, real)
          }
          await claiming(100)(model, real)
          expect(['completed', 'failed', 'cancelled']).toContain(model.state)
          expect(real.called.sort()).toEqual([...model.callbacks].sort())
        }),
        { numRuns: RUNS },
      )
    } finally {
      redis.close()
    }
  },
  RUNS * 4_000,
)
