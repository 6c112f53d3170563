// Shared by producers on Node: reads orders from stdin, carries them out with the peer's own calls, answers
// on stdout.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Answer, Order, Shape } from '../../../peer.ts'

export interface Data {
  n: number
  payload: string
}

/**
 * The peer's own calls; each resolves when the server has the job. A peer leaves out the calls that it does
 * not have.
 */
export interface Calls {
  add(data: Data): Promise<unknown>
  addMany?(many: Data[]): Promise<unknown>
  addDelayed?(many: Data[], dueAtMs: number): Promise<unknown>
  /** Jobs that wait for each other. */
  startFlow?(shape: Shape, datas: Data[]): Promise<unknown>
  /** Enqueues one and resolves when its result is here. */
  roundTrip?(data: Data): Promise<unknown>
}

export async function produce(calls: Calls): Promise<void> {
  console.log('{"ready":true}')
  for await (const line of createInterface({ input: process.stdin }))
    console.log(JSON.stringify(await carryOut(JSON.parse(line), calls)))
  process.exit(0)
}

export const nowMicros = (): number => Math.round((performance.timeOrigin + performance.now()) * 1_000)

async function carryOut(order: Order, calls: Calls): Promise<Answer> {
  const schedule =
    order.do === 'paced' ? readFileSync(order.schedule, 'utf8').split('\n').filter(Boolean).map(Number) : []
  const startedAtMicros = nowMicros()
  const start = performance.now()
  const answer = (more = {}) => ({ ms: performance.now() - start, startedAtMicros, ...more })
  if (order.do === 'paced') {
    await paced(order.from, schedule, start, (n) => calls.add({ n, payload: order.payload }))
    return answer()
  }
  const { from, count, payload } = order
  const datas = (first: number, size: number) =>
    Array.from({ length: Math.min(size, from + count - first) }, (_, i) => ({ n: first + i, payload }))
  switch (order.do) {
    case 'one-by-one':
      for (let n = from; n < from + count; n += 1) await calls.add({ n, payload })
      return answer()
    case 'concurrent':
      for (let n = from; n < from + count; n += order.width)
        await Promise.all(datas(n, order.width).map((data) => calls.add(data)))
      return answer()
    case 'bulk':
      if (!calls.addMany) return { unsupported: 'no call for many jobs' }
      for (let n = from; n < from + count; n += order.batch) await calls.addMany(datas(n, order.batch))
      return answer()
    case 'delayed':
      if (!calls.addDelayed) return { unsupported: 'no delayed jobs' }
      for (let n = from; n < from + count; n += order.batch)
        await calls.addDelayed(datas(n, order.batch), order.dueAtMs)
      return answer()
    case 'flows':
      if (!calls.startFlow) return { unsupported: 'no jobs that wait for others' }
      for (let n = from; n < from + count; n += order.size)
        await calls.startFlow(order.shape, datas(n, order.size))
      return answer()
    case 'round-trips':
    case 'spaced': {
      const call = order.do === 'spaced' && order.awaits === 'enqueue' ? calls.add : calls.roundTrip
      if (!call) return { unsupported: 'no call that waits for a result' }
      const gapMs = order.do === 'spaced' ? order.gapMs : 0
      return answer(await oneAfterTheOther(datas(from, count), call, gapMs))
    }
  }
}

async function oneAfterTheOther(datas: Data[], call: (data: Data) => Promise<unknown>, gapMs: number) {
  const [latenciesMs, calledAtMicros]: [number[], number[]] = [[], []]
  for (const data of datas) {
    if (gapMs > 0) await new Promise((resolve) => setTimeout(resolve, gapMs))
    calledAtMicros.push(nowMicros())
    const before = performance.now()
    await call(data)
    latenciesMs.push(performance.now() - before)
  }
  return gapMs > 0 ? { latenciesMs, calledAtMicros } : { latenciesMs }
}

const sleeper = new Int32Array(new SharedArrayBuffer(4))
const turn = () => new Promise((resolve) => setImmediate(resolve))

/**
 * Timers are too coarse, so the last two milliseconds are short sleeps in the kernel; between them answers
 * are read. A busy loop would take a whole core from the measured programs.
 */
async function paced(from: number, schedule: number[], start: number, add: (n: number) => Promise<unknown>) {
  const waiting: Promise<unknown>[] = []
  const leftMs = (i: number) => (schedule[i] ?? 0) / 1_000 - (performance.now() - start)
  for (let i = 0; i < schedule.length; ) {
    if (leftMs(i) > 2) await new Promise((resolve) => setTimeout(resolve, leftMs(i) - 2))
    else if (leftMs(i) > 0) {
      await turn()
      const restMs = leftMs(i)
      if (restMs > 0) Atomics.wait(sleeper, 0, 0, Math.min(restMs, 0.2))
    } else {
      waiting.push(add(from + i))
      i += 1
    }
  }
  await Promise.all(waiting)
}
