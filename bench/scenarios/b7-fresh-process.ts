// B7: a fresh process for each job, with small tasks and with tasks that load 30 MB of modules.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { startPool } from '../peers/child-process-fork.ts'
import { startRealWorker } from '../peers/millhand.ts'
import { Program } from '../processes.ts'
import { percentile, readStarts } from '../records.ts'
import { DRAIN_FIGURES, RATE, type Round, type Scenario, times, within } from '../scenario.ts'
import { drain, fill, pause, until } from '../steps.ts'

const HEAVY = 'with 30 MB of modules'
const SLOTS = 4
const P99 = { name: 'p99Ms', title: 'p99 to start, idle, ms', better: 'less' } as const

export const b7: Scenario = {
  id: 'B7',
  title: 'A fresh process for each job',
  about: `A backlog of no-op jobs, each in a process of its own, ${SLOTS} at once where the peer can; jobs settled a second.`,
  peers: ['millhand-fork', 'millhand-spawn', 'rq', 'rq-pool', 'child-process-fork'],
  variants: ['', HEAVY],
  plays: (peer, variant) => variant === '' || ['millhand-fork', 'child-process-fork'].includes(peer),
  jobs: { warmUp: 150, most: 10_000 },
  figures: [...DRAIN_FIGURES, P99],
  async round(round) {
    const { peer, place, variant } = round
    await fill(round, round.count)
    const figures = await drain(variant === HEAVY ? loaded(round) : round, { slots: SLOTS, task: 'no-op' })
    if (peer.name !== 'millhand-fork' || variant === HEAVY || round.isWarmUp) return figures
    return {
      ...figures,
      [P99.name]: await p99ToStart({ ...round, place: { ...place, records: round.folder('idle') } }),
    }
  },
  criteria: (results) => [
    within(results, { peer: 'millhand-fork', figure: RATE.name, least: 400, unit: 'jobs/s' }),
    times(results, { peer: 'millhand-fork', to: 'rq', least: 6 }),
    times(results, { peer: 'millhand-fork', to: 'rq-pool', least: 2.5 }),
    times(results, { peer: 'millhand-fork', to: 'child-process-fork', least: 9 }),
    times(results, { peer: 'millhand-fork', to: 'child-process-fork', least: 9, variants: [HEAVY, HEAVY] }),
    within(results, {
      peer: 'millhand-fork',
      figure: P99.name,
      most: 15,
      unit: 'ms from enqueue to start, p99',
    }),
  ],
}

/** The same round, but each process loads a module of some 30 MB first. */
function loaded(round: Round): Round {
  const module = join(round.folder('modules'), 'heavy.mjs')
  // 300,000 small objects, made from literals as generated clients of big services do.
  const lines = Array.from({ length: 3_000 }, (_, i) => `export const table${i} = make(${i})`)
  writeFileSync(
    module,
    `const make = (i) => Array.from({ length: 100 }, (_, k) => ({ id: i * 100 + k, name: 'field ' + i + ' ' + k }))\n${lines.join('\n')}\n`,
  )
  const start = (slots: number) =>
    round.peer.name === 'child-process-fork'
      ? startPool(round.place, slots, pathToFileURL(module).href)
      : startRealWorker(round.place, { slots, task: 'no-op', mode: 'Fork', module })
  return {
    ...round,
    startWorker: ({ slots }) => round.keep(new Program(start(slots), `worker of ${round.peer.name}`)),
  }
}

/**
 * A job every 50 ms: the time of an idle worker from the enqueue to the first line of the task, the claim
 * included.
 */
async function p99ToStart(round: Round): Promise<number> {
  const count = round.extent === 'quick' ? 100 : 200
  const schedule = join(round.folder('schedule'), 'even.txt')
  writeFileSync(schedule, Array.from({ length: count }, (_, i) => `${1_000 + i * 50_000}\n`).join(''))
  const worker = await round.startWorker({ slots: SLOTS, task: 'no-op' }, round.place).ready()
  await pause(500)
  const producer = await round.startProducer()
  const answer = await producer.ask({ do: 'paced', from: 0, payload: round.payload, schedule })
  await until(() => readStarts(round.place.records).numbers.length >= count, 10_000, 'all jobs started')
  await worker.stop()
  if ('unsupported' in answer) return Number.NaN
  const { numbers, atMicros } = readStarts(round.place.records)
  const waits = atMicros.map((at, i) => (at - answer.startedAtMicros) / 1_000 - 1 - (numbers[i] ?? 0) * 50)
  return percentile(waits, 0.99)
}
