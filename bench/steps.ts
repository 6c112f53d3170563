// The steps of scenarios: enqueue jobs and measure the cost; let a worker settle them and measure the cost;
// wait.
import type { Order, Place, WorkerOptions } from './peer.ts'
import { type Program, StoodStill, treeUse } from './processes.ts'
import { judgeDelivery, readStarts, type Starts } from './records.ts'
import type { Figures, Round } from './scenario.ts'
import type { Doings, Server } from './server.ts'

export const nowMicros = (): number => Math.round((performance.timeOrigin + performance.now()) * 1_000)
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

/**
 * Totals at one time. The difference of two, without the bench's own commands, is the cost of the jobs
 * between them.
 */
interface Look {
  readonly doings: Doings
  readonly cpuMicros: number
  readonly polls: number
}

async function look(server: Server, pid: number, polls: number): Promise<Look> {
  return { cpuMicros: treeUse(pid).cpuMicros, doings: await server.doings(), polls }
}

interface Spent {
  before: Look
  after: Look
  jobs: number
  poll: Doings
  who: 'producer' | 'worker'
}

function costs({ peer }: Round, { before, after, jobs, poll, who }: Spent): Figures {
  const polls = after.polls - before.polls
  const used = (of: (doings: Doings) => number, own: number) =>
    Math.max(0, of(after.doings) - of(before.doings) - polls * of(poll) - own) / jobs
  const own = { [`${who}Micros`]: (after.cpuMicros - before.cpuMicros) / jobs }
  if (peer.startServer) return own
  return {
    ...own,
    redisMicros: used((doings) => doings.cpuMicros, 0),
    // One INFO is between the two: an INFO does not count itself.
    commands: used((doings) => doings.commands, 1),
    roundTrips: used((doings) => doings.reads, 1),
  }
}

/** The cost of one question for the remaining jobs, measured while the server has no other client. */
async function costOfPoll({ peer, server, place }: Round): Promise<Doings> {
  const none = { commands: 0, reads: 0, cpuMicros: 0 }
  if (!peer.unsettled) return none
  const times = 50
  await peer.unsettled(server.redis, place)
  const before = await server.doings()
  for (let i = 0; i < times; i += 1) await peer.unsettled(server.redis, place)
  const after = await server.doings()
  return {
    commands: (after.commands - before.commands - 1) / times,
    reads: (after.reads - before.reads - 1) / times,
    cpuMicros: (after.cpuMicros - before.cpuMicros) / times,
  }
}

/** One order to a new producer. Undefined when the peer has no such call. */
export async function enqueue(
  round: Round,
  order: Order,
  { weigh = false } = {},
): Promise<Figures | undefined> {
  const { server } = round
  const producer = await round.startProducer()
  const bytesBefore = weigh ? await server.settledMemoryBytes() : 0
  const before = await look(server, producer.pid, 0)
  const answer = await producer.ask(order)
  const after = await look(server, producer.pid, 0)
  await producer.stop()
  if ('unsupported' in answer) {
    round.note(answer.unsupported)
    return undefined
  }
  const jobs = 'count' in order ? order.count : round.count
  await expectWaiting(round, jobs)
  const bytes =
    weigh && !round.peer.startServer
      ? { bytes: ((await server.settledMemoryBytes()) - bytesBefore) / jobs }
      : {}
  const poll = { commands: 0, reads: 0, cpuMicros: 0 }
  return {
    jobs,
    jobsPerSecond: (jobs / answer.ms) * 1_000,
    ...costs(round, { before, after, jobs, poll, who: 'producer' }),
    ...bytes,
  }
}

async function expectWaiting({ peer, server, place, fail, note }: Round, count: number): Promise<void> {
  const countOf = peer.unsettled ?? peer.waiting
  if (!countOf) return note('its waiting jobs cannot be counted')
  const waiting = await countOf(server.redis, place)
  if (waiting !== count) fail(`${count} jobs were enqueued, but ${waiting} wait`)
}

export async function fill(
  round: Round,
  count: number,
  { payload = round.payload, batch = 1_000 } = {},
): Promise<void> {
  const producer = await round.startProducer()
  const from = 0
  let answer = await producer.ask({ do: 'bulk', from, count, payload, batch })
  if ('unsupported' in answer)
    answer = await producer.ask({ do: 'concurrent', from, count, payload, width: 100 })
  if ('unsupported' in answer) answer = await producer.ask({ do: 'one-by-one', from, count, payload })
  await producer.stop()
  if ('unsupported' in answer) throw new Error(answer.unsupported)
}

interface Drained extends Figures {
  jobsPerSecond: number
}

const POLL_EVERY_MS = 10
const DRAIN_PATIENCE_MS = 240_000
/** The longest time without a settled job: a worker starts in a few seconds, its slowest job takes one. */
export const STILL_MS = 30_000

/**
 * Lets a worker settle the waiting jobs. The clock runs from the start of the first job until no job is left.
 * The cost counts from the first settled job: it does not contain the start of the worker.
 */
export async function drain(
  round: Round,
  options: WorkerOptions,
  { judge = (starts: Starts) => judgeDelivery(starts, round.count), place = round.place } = {},
): Promise<Drained> {
  const poll = await costOfPoll(round)
  const worker = round.startWorker(options, place)
  const settling = await untilSettled(round, worker, poll).catch((error: Error) => error)
  await worker.stop()
  const starts = readStarts(round.place.records)
  for (const problem of judge(starts)) round.fail(problem)
  if (settling instanceof Error) throw settling
  const { settledAtMicros, figures } = settling
  const firstMicros = starts.atMicros.reduce((least, at) => Math.min(least, at), Number.POSITIVE_INFINITY)
  const seconds = (settledAtMicros - firstMicros) / 1e6
  return { ...figures, jobs: round.count, jobsPerSecond: round.count / seconds }
}

async function untilSettled(
  round: Round,
  worker: Program,
  poll: Doings,
): Promise<{ settledAtMicros: number; figures: Figures }> {
  const { server, count } = round
  const readiness = worker.ready()
  readiness.catch(() => {})
  let begun: { look: Look; left: number } | undefined
  const { stillMs = STILL_MS } = round
  const beganAtMs = performance.now()
  let last = { left: count, atMs: beganAtMs }
  for (let polls = 1; ; polls += 1) {
    const left = await leftOf(round, count)
    const nowMs = performance.now()
    if (left !== last.left) last = { left, atMs: nowMs }
    if (left === 0) {
      const settledAtMicros = nowMicros()
      const after = await look(server, worker.pid, polls)
      if (!begun) throw new Error('all jobs were settled before the first look: the round is too short')
      await readiness
      const spent = { before: begun.look, after, jobs: begun.left, poll, who: 'worker' } as const
      return { settledAtMicros, figures: costs(round, spent) }
    }
    if (left < count && !begun) begun = { look: await look(server, worker.pid, polls), left }
    worker.mustLive()
    if (nowMs - last.atMs > stillMs)
      throw new StoodStill(`it stood still for ${stillMs / 1_000} s, with ${left} of ${count} jobs left`)
    if (nowMs - beganAtMs > DRAIN_PATIENCE_MS)
      throw new StoodStill(`${left} of ${count} jobs were left after ${DRAIN_PATIENCE_MS / 1_000} s`)
    await pause(round.peer.unsettled ? POLL_EVERY_MS : 50)
  }
}

/** Resolves when this many jobs, all that were enqueued, are settled. */
export function untilDone(round: Round, count: number, withinMs = 60_000): Promise<void> {
  return until(async () => (await leftOf(round, count)) === 0, withinMs, 'all jobs settled')
}

/** For a peer that does not record running jobs: counts the starts. */
async function leftOf({ peer, server, place }: Round, count: number): Promise<number> {
  if (peer.unsettled) return peer.unsettled(server.redis, place)
  return Math.max(0, count - new Set(readStarts(place.records).numbers).size)
}

export async function until(
  isSo: () => boolean | Promise<boolean>,
  withinMs: number,
  what: string,
): Promise<void> {
  const giveUpAtMs = performance.now() + withinMs
  while (!(await isSo())) {
    if (performance.now() > giveUpAtMs) throw new StoodStill(`${what}: not within ${withinMs} ms`)
    await pause(10)
  }
}

export const through = (place: Place, redisUrl: string): Place => ({ ...place, redisUrl })
