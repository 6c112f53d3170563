// How many instructions Redis executes for a job, counted by valgrind: the same on a busy machine, so that
// two versions of a script can be
// compared where times cannot. node --conditions=millhand-source bench/instructions.ts   (needs valgrind; half a minute)
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connectRedis, newJob, openQueue, type Queue } from 'millhand/queue'

const PAYLOAD = { n: 123456, payload: 'x'.repeat(82) }
const NOTHING = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }

await print('enqueue, alone', [300, 1_300], (queue, jobs) => enqueue(queue, jobs, 1))
await print('enqueue, 100 a call', [1_000, 3_000], (queue, jobs) => enqueue(queue, jobs, 100))
for (const atOnce of [1, 16, 100])
  await print(`claim and settle, ${atOnce} a call`, [1_000, 3_000], async (queue, jobs) => {
    await enqueue(queue, 3_100, 100)
    await drain(queue, jobs, atOnce)
  })

/** The difference of two runs: the start of the server and what comes before are in both. */
async function print(
  what: string,
  [few, many]: [number, number],
  work: (queue: Queue, jobs: number) => Promise<void>,
): Promise<void> {
  const instructions = (await countedIn(work, many)) - (await countedIn(work, few))
  console.log(
    `${Math.round(instructions / (many - few))
      .toLocaleString('en-US')
      .padStart(8)}  ${what}`,
  )
}

async function countedIn(work: (queue: Queue, jobs: number) => Promise<void>, jobs: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-instructions-'))
  const port = await freePort()
  const counting = ['--tool=callgrind', `--callgrind-out-file=${join(folder, 'out')}`]
  const settings = ['--port', String(port), '--save', '', '--dir', folder, '--hz', '1']
  const server = spawn('valgrind', [...counting, 'redis-server', ...settings], { stdio: 'ignore' })
  const ended = once(server, 'exit')
  const redis = connectRedis(`redis://127.0.0.1:${port}`, { deadlineMs: 60_000 })
  try {
    await work(openQueue(redis, 'default.bench'), jobs)
    await redis.call('SHUTDOWN', 'NOSAVE').catch(() => {}) // it answers by going
    await ended
    return Number(/^summary: (\d+)/m.exec(readFileSync(join(folder, 'out'), 'utf8'))?.[1])
  } finally {
    redis.close()
    server.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
}

async function enqueue(queue: Queue, jobs: number, atOnce: number): Promise<void> {
  for (let done = 0; done < jobs; done += atOnce)
    await queue.enqueue(Array.from({ length: atOnce }, () => newJob('no-op', PAYLOAD)))
}

async function drain(queue: Queue, jobs: number, atOnce: number): Promise<void> {
  await queue.register({ ...NOTHING, worker: 'p:1', process: 'p', podUid: 'u', slots: atOnce })
  let ended: Parameters<Queue['settleAndClaim']>[2] = []
  for (let done = 0; done < jobs; done += ended.length) {
    const { claims } = await queue.settleAndClaim('p:1', 0, ended, atOnce)
    ended = claims.map(({ id, token, envelope }) => {
      const [, , enqueuedAtMs, task] = envelope.split(/[ \n]/, 4)
      return { id, token, verdict: 'completed', text: `${enqueuedAtMs} ${task} 1\nnull` }
    })
  }
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  return typeof address === 'object' && address ? address.port : 0
}
