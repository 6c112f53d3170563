// B14: a claim costs the same with a thousand and with a million waiting jobs. It asks Redis for the cost of
// a claim and a settlement, because the rate of a whole run would hide it.
import { connectRedis, defaultSettings, newJob, openQueue, queueName, type Settlement } from 'millhand/queue'
import {
  type Figure,
  type Figures,
  numberText,
  type Results,
  type Round,
  type Scenario,
  within,
} from '../scenario.ts'

const VARIANTS = {
  '1k waiting': [1_000, 0],
  '1M waiting': [1_000_000, 0],
  '10k active': [1_000, 10_000],
} as const
const MICROS: Figure = { name: 'redisMicros', title: 'Redis CPU µs a claim and settlement', better: 'less' }
const COMMANDS: Figure = { name: 'commands', title: 'commands a claim and settlement', better: 'less' }
const BYTES: Figure = { name: 'bytes', title: 'bytes/waiting job', better: 'less' }
const SLOW: Figure = { name: 'slow', title: 'calls over 10 ms', better: 'less' }
const AT_ONCE = 100

export const b14: Scenario = {
  id: 'B14',
  title: 'Claims before a backlog',
  about: `The queue's own calls, ${AT_ONCE} jobs a call, with a backlog that stays as it is; Redis CPU µs for a claim and a settlement of one job.`,
  peers: ['millhand-loop'],
  variants: Object.keys(VARIANTS),
  jobs: { warmUp: 0, most: 0 },
  hasWarmUp: false,
  figures: [MICROS, COMMANDS, BYTES, SLOW],
  round: measure,
  criteria: (results) => [
    ...[MICROS, COMMANDS].flatMap((figure) => [
      invariant(results, figure, '1M waiting'),
      invariant(results, figure, '10k active'),
    ]),
    within(results, {
      peer: 'millhand-loop',
      figure: BYTES.name,
      most: 350,
      unit: 'bytes a waiting job',
      variant: '1M waiting',
    }),
    within(results, {
      peer: 'millhand-loop',
      figure: SLOW.name,
      most: 0,
      unit: 'calls over 10 ms',
      variant: '1M waiting',
    }),
  ],
}

function invariant(results: Results, { name, title }: Figure, variant: string) {
  const ratio = results.ratio('millhand-loop', 'millhand-loop', name, [variant, '1k waiting'])
  return {
    text: `${variant}: ${title} within 15 % of 1k waiting`,
    measured: ratio ? `×${numberText(ratio.median)}` : 'not measured',
    held: ratio && Math.abs(ratio.median - 1) <= 0.15,
  }
}

async function measure(round: Round): Promise<Figures> {
  const { server, payload, extent } = round
  const [backlog, active] = VARIANTS[round.variant as keyof typeof VARIANTS]
  const redis = connectRedis(server.url)
  const queue = openQueue(redis, queueName('default', 'bench'))
  await queue.configure({ ...defaultSettings, maxLength: 4e6 })
  await server.redis.config('SET', 'slowlog-log-slower-than', 10_000)
  let n = 0
  const add = async (count: number) => {
    for (let left = count; left > 0; left -= AT_ONCE) {
      const jobs = Array.from({ length: Math.min(AT_ONCE, left) }, () => newJob('no-op', { n: n++, payload }))
      await queue.enqueue(jobs)
    }
  }
  const join = async (worker: string) => {
    const entry = {
      process: worker,
      pod: '',
      podUid: worker,
      poolUid: '',
      node: '',
      isolation: '',
      isolationNote: '',
    }
    await queue.register({ ...entry, worker, slots: AT_ONCE, version: 'bench' })
    await queue.resync(worker, 1)
  }
  await join('busy:1')
  await join('bench:1')
  await add(active)
  for (let held = 0; held < active; held += AT_ONCE)
    await queue.settleAndClaim({ worker: 'busy:1', sequence: 1, wanted: AT_ONCE })
  const before = await server.settledMemoryBytes()
  await add(backlog)
  const bytes = ((await server.settledMemoryBytes()) - before) / backlog
  const used = { cpuMicros: 0, commands: 0, jobs: 0 }
  const groups = extent === 'quick' ? 20 : 60
  for (let group = 0; group < groups; group += 1) {
    await Promise.all(['busy:1', 'bench:1'].map((worker) => queue.renew(worker)))
    await add(10 * AT_ONCE)
    const start = await server.doings()
    used.jobs += await claimAndSettle(queue, 11)
    const end = await server.doings()
    used.cpuMicros += end.cpuMicros - start.cpuMicros
    used.commands += end.commands - start.commands - 1
  }
  const depth = await queue.depth()
  if (depth.ready !== backlog || depth.busy !== active)
    round.fail(`${backlog} jobs should wait and ${active} be held, but ${depth.ready} and ${depth.busy} are`)
  redis.close()
  return {
    [MICROS.name]: used.cpuMicros / used.jobs,
    [COMMANDS.name]: used.commands / used.jobs,
    [BYTES.name]: bytes,
    [SLOW.name]: Number(await server.redis.slowlog('LEN')),
  }
}

/** Claims in each call but the last, settles in each but the first, as a worker does. */
async function claimAndSettle(queue: ReturnType<typeof openQueue>, calls: number): Promise<number> {
  let jobs = 0
  let ended: readonly Settlement[] = []
  for (let call = 1; call <= calls; call += 1) {
    const { claims } = await queue.settleAndClaim({
      worker: 'bench:1',
      sequence: 1,
      settlements: ended,
      wanted: call < calls ? AT_ONCE : 0,
    })
    const text = `${Date.now()} no-op 0\nnull`
    ended = claims.map(({ id, token }) => ({ id, token, verdict: 'completed', text }))
    jobs += claims.length
  }
  return jobs
}
