// F26: ten thousand forked children, and a worker that is PID 1, as in a container: nothing is left of those that ended.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { connect } from 'millhand/client'
import { eventually } from '../eventually.ts'
import { childrenOf, isAlive } from '../processes.ts'
import { redisUrl } from '../redis.ts'
import { theZygoteOf, zygoteOf } from '../worker-runtime/child/tiny-children.ts'
import { scene } from './scene.ts'

const FORKED = fileURLToPath(new URL('../tasks/forked.ts', import.meta.url))
const MAIN = fileURLToPath(new URL('../../worker-runtime/src/main.ts', import.meta.url))
const BIN = fileURLToPath(new URL('../../worker-runtime/bin/millhand-worker.js', import.meta.url))
const CHILDREN = 10_000
const RANDOMS = 7 // of a job of the task randoms
const SPARES = 4
// With a small young generation, what the zygote has grown by is what it has kept. The worker runs as users
// run it: its program keeps its heap small.
const NODE_OPTIONS = '--max-semi-space-size=1'
const GROWTH_BYTES = 24 * 2 ** 20

test(
  `${CHILDREN} children have random numbers of their own, and leave no process, no descriptor, no socket file, no memory`,
  scene(async (scene) => {
    const TMPDIR = mkdtempSync(join(tmpdir(), 'millhand-test-'))
    const worker = await scene.worker({
      program: [BIN],
      modules: [FORKED],
      slots: 4,
      env: { MILLHAND_LOG_LEVEL: 'info', MILLHAND_FORK_SHARES: FORKED, NODE_OPTIONS, TMPDIR },
    })
    const queue = scene.client.queue('jobs')
    const seen = new Set<unknown>()
    const run = async (count: number) => {
      const handles = await queue.enqueueMany(
        Array.from({ length: count }, () => ({ task: 'randoms', input: {} })),
      )
      for (const handle of handles)
        for (const number of (await handle.result({ timeoutMs: 600_000 })) as string[]) seen.add(number)
    }
    await run(CHILDREN / 10) // until the heap of the worker has its usual size
    const zygote = theZygoteOf(worker.pid)
    const before = [worker.pid, zygote].map(weigh)
    await run(CHILDREN - CHILDREN / 10)
    expect(seen.size).toBe(CHILDREN * RANDOMS)
    expect(zygoteOf(worker.pid)).toBe(zygote)
    await eventually(() => childrenOf(zygote).length <= SPARES, {
      what: 'only spares are left',
      withinMs: 60_000,
    })
    const after = [worker.pid, zygote].map(weigh)
    console.log(`${CHILDREN} children: worker and zygote before and after`, JSON.stringify({ before, after }))
    for (const [index, { descriptors, rssBytes }] of after.entries()) {
      expect(descriptors).toBeLessThanOrEqual((before[index]?.descriptors ?? 0) + 3 * SPARES)
      expect(rssBytes).toBeLessThan((before[index]?.rssBytes ?? 0) + GROWTH_BYTES)
    }
    expect(socketFiles()).toEqual([])
    expect(readdirSync(TMPDIR)).toEqual([])
    rmSync(TMPDIR, { recursive: true })
    expect((await worker.stop()).code).toBe(0)
  }),
  900_000,
)

test('a worker that is PID 1 and whose zygote is killed under load leaves no zombie, and goes on', async () => {
  const namespace = `pid1-${process.pid}`
  const client = connect({ redis: redisUrl(), namespace })
  const queue = client.queue('jobs')
  const unshare = spawn(
    'unshare',
    [
      '--pid',
      '--fork',
      '--mount-proc',
      '--kill-child',
      process.execPath,
      '--conditions=millhand-source',
      MAIN,
      FORKED,
    ],
    {
      env: {
        PATH: process.env.PATH,
        MILLHAND_REDIS_URL: redisUrl(),
        MILLHAND_NAMESPACE: namespace,
        MILLHAND_QUEUES: JSON.stringify([{ name: 'jobs' }]),
        MILLHAND_SLOTS: '4',
        MILLHAND_FORK_SHARES: FORKED,
      },
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  const ended = new Promise((resolve) => unshare.once('exit', resolve))
  const first = await queue.enqueue('randoms', {})
  await first.result({ timeoutMs: 60_000 })
  const [worker = 0] = childrenOf(unshare.pid ?? 0)
  expect(pidInside(worker)).toBe(1)
  for (let round = 0; round < 5; round += 1) {
    const zygote = await eventually(() => zygoteOf(worker), { what: 'a zygote' })
    const handles = await queue.enqueueMany([
      ...Array.from({ length: 20 }, () => ({ task: 'orphans', input: {} })),
      ...Array.from({ length: 20 }, () => ({ task: 'waits', input: { ms: 20 } })),
    ])
    await new Promise((later) => setTimeout(later, 40 * round))
    process.kill(zygote, 'SIGKILL')
    await Promise.allSettled(handles.map((handle) => handle.result({ timeoutMs: 120_000 })))
  }
  await eventually(() => childrenOf(worker).every(isAlive), { what: 'no zombie is left', withinMs: 60_000 })
  process.kill(worker, 'SIGTERM')
  await ended
  client.close()
}, 900_000)

function pidInside(pid: number): number {
  return Number(/^NSpid:.*\t(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

function weigh(pid: number): { descriptors: number; rssBytes: number } {
  const descriptors = readdirSync(`/proc/${pid}/fd`).length
  const rssKib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return { descriptors, rssBytes: Number(rssKib) * 1024 }
}

/** Unix sockets with a path that names the product: there are none, since a child's ends are sent to it. */
function socketFiles(): string[] {
  return readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .filter((line) => /\/.*millhand/.test(line))
}
