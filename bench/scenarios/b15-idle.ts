// B15: the cost of workers without work.
import { startRealWorker } from '../peers/millhand.ts'
import { Program, treeUse } from '../processes.ts'
import { type Figures, type Round, type Scenario, within } from '../scenario.ts'
import { pause } from '../steps.ts'

const CPU = { name: 'cpuPercent', title: '% of a core a worker', better: 'less' } as const
const REDIS = { name: 'redisPercent', title: '% of a core, Redis', better: 'less' } as const
const COMMANDS = { name: 'commands', title: 'commands/s a worker', better: 'less' } as const
const CALLS = { name: 'calls', title: 'round trips/s a worker', better: 'less' } as const
const MEMORY = { name: 'mib', title: 'MiB a worker, shared pages counted each time', better: 'less' } as const

export const b15: Scenario = {
  id: 'B15',
  title: 'Idle workers',
  about:
    '50 queues with a worker each and no job, half a minute (--full: five); per cent of a core for each.',
  peers: ['millhand-fork'],
  jobs: { warmUp: 0, most: 0 },
  rounds: 1,
  hasWarmUp: false,
  figures: [CPU, CALLS, COMMANDS, REDIS, MEMORY],
  round: idle,
  criteria: (results) => [
    within(results, { peer: 'millhand-fork', figure: CPU.name, most: 1, unit: '% of a core a worker' }),
    within(results, { peer: 'millhand-fork', figure: CALLS.name, most: 5, unit: 'round trips/s a worker' }),
  ],
}

async function idle(round: Round): Promise<Figures> {
  const { extent, place, server } = round
  const seconds = { quick: 10, normal: 30, full: 300 }[extent]
  const count = extent === 'quick' ? 10 : 50
  const workers: Program[] = []
  for (let i = 0; i < count; i += 1) {
    const options = { slots: 1, task: 'no-op', mode: 'Fork', queue: `bench-${i}` } as const
    const worker = new Program(startRealWorker(place, options), `worker ${i}`)
    round.keep(worker)
    workers.push(await worker.ready())
  }
  await pause(5_000)
  const look = async () => {
    const uses = workers.map(({ pid }) => treeUse(pid))
    const cpuMicros = uses.reduce((sum, use) => sum + use.cpuMicros, 0)
    const rssBytes = uses.reduce((sum, use) => sum + use.rssBytes, 0)
    return { cpuMicros, rssBytes, redis: await server.doings() }
  }
  const before = await look()
  await pause(seconds * 1_000)
  const after = await look()
  await Promise.all(workers.map((worker) => worker.stop()))
  return {
    [CPU.name]: (after.cpuMicros - before.cpuMicros) / seconds / 1e4 / count,
    [REDIS.name]: (after.redis.cpuMicros - before.redis.cpuMicros) / seconds / 1e4,
    [COMMANDS.name]: (after.redis.commands - before.redis.commands) / seconds / count,
    [CALLS.name]: (after.redis.reads - before.redis.reads) / seconds / count,
    [MEMORY.name]: after.rssBytes / count / 2 ** 20,
  }
}
