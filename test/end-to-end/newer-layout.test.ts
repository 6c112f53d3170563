// A queue that a newer Millhand has written, and everybody who is older: each refuses it in words that say what to do, and hurts nothing.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LAYOUT, openQueue, prefixOf, silent } from 'millhand/queue'
import { planTaskQueue } from '../../control/src/decide/queue.ts'
import { openFence } from '../../control/src/engine/fence.ts'
import { observeTaskQueue } from '../../control/src/reconcile/task-queue.ts'
import { Secrets } from '../../control/src/redis/secrets.ts'
import { Servers } from '../../control/src/redis/servers.ts'
import { millhand, PATIENCE_MS, TINY_TASKS } from '../cli/millhand.ts'
import { eventually } from '../eventually.ts'
import { Scene } from '../faults/scene.ts'
import { isAlive } from '../processes.ts'
import { redisUrl } from '../redis.ts'
import { WorkerProcess } from '../worker-process.ts'

const REFUSAL = new RegExp(
  `was written by a newer Millhand \\(its layout is ${LAYOUT + 1}, this program knows ${LAYOUT}\\): upgrade this program`,
)

let scene: Scene
beforeEach(() => {
  scene = new Scene()
})
afterEach(() => scene.end())
const setLayout = (layout: number, queue = scene.queue.name) =>
  scene.redis.call('HSET', `${prefixOf(queue)}config`, 'layout', layout)

test('a client: every call', async () => {
  const [job] = await scene.enqueue(1, 'naps')
  await setLayout(LAYOUT + 1)
  const refused = { code: 'NEWER_LAYOUT', message: expect.stringMatching(REFUSAL) }
  await expect(scene.jobs.enqueue('naps', {})).rejects.toMatchObject(refused)
  await expect(scene.jobs.enqueueMany([{ task: 'naps', input: {} }])).rejects.toMatchObject(refused)
  await expect(job?.result({ timeoutMs: 10_000 })).rejects.toMatchObject(refused)
  await expect(job?.state()).rejects.toMatchObject(refused)
  await expect(job?.cancel()).rejects.toMatchObject(refused)
})

test('a worker that starts: it ends, with the reason alone', async () => {
  await setLayout(LAYOUT + 1)
  const worker = new WorkerProcess({
    redisUrl: redisUrl(),
    namespace: scene.namespace,
    queues: ['jobs'],
    modules: [TINY_TASKS],
    isolation: 'Spawn',
  })
  scene.workers.push(worker)
  expect((await worker.ended).code).toBe(70)
  expect(worker.stderr).toMatch(new RegExp(`^millhand-worker: queue \\S+ ${REFUSAL.source}\\n$`))
})

test(
  'a worker that runs: it ends with its children, and one that knows the layout takes its jobs over',
  async () => {
    const worker = await scene.worker({ slots: 1 })
    const [job] = await scene.enqueue(1, 'naps', { ms: 2_000 })
    await scene.started(job?.id ?? '')
    const children = scene.childrenOf(worker)
    await setLayout(LAYOUT + 1)
    scene.fault('its layout became too new')
    expect((await worker.ended).code).toBe(70)
    expect(worker.stderr).toMatch(REFUSAL)
    await eventually(() => children.every((pid) => !isAlive(pid)))
    await setLayout(LAYOUT)
    await scene.worker()
    await scene.idle()
    await scene.judge({ faults: 1 })
  },
  PATIENCE_MS,
)

test('the operator: a condition, and the queue is left as it is', async () => {
  await setLayout(LAYOUT + 1)
  const servers = new Servers({
    name: 'millhand-operator',
    reach: new Secrets({
      readSecret: async () => ({ url: redisUrl() }),
      secretNames: ['millhand-redis'],
      denials: { servers: [], networks: ['127.0.0.0/8'] },
      nowMs: () => performance.now(),
    }),
    onStirred: () => {},
    fence: openFence,
    log: silent,
    nowMs: () => performance.now(),
    wallMs: () => Date.now(),
  })
  const kept = { maxAgeSeconds: 60, maxCount: 10 }
  const object = {
    metadata: { namespace: scene.namespace, name: 'jobs', uid: 'mine' },
    spec: {
      suspend: false,
      limits: { maxLength: 100, maxPayload: 1_000 },
      retry: { maxAttempts: 3, maxCrashes: 3, backoff: { baseSeconds: 5, maxSeconds: 60 } },
      timeoutSeconds: 60,
      retention: { completed: kept, buried: kept },
      events: { maxCount: 100 },
    },
  }
  try {
    const { status } = planTaskQueue(
      await observeTaskQueue(object, { servers, ownerName: () => 'me' }, () => false),
      Date.now(),
    )
    const turned = Object.fromEntries((status?.conditions ?? []).map((each) => [each.type, each]))
    expect(turned.Ready).toMatchObject({
      status: 'False',
      reason: 'NewerLayout',
      message: expect.stringMatching(/newer Millhand.*: upgrade the operator/),
    })
    expect(turned.Stalled).toMatchObject({ status: 'True', reason: 'NewerLayout' })
  } finally {
    servers.close()
  }
  expect(await scene.redis.call('HGETALL', `${prefixOf(scene.queue.name)}config`)).toEqual([
    'layout',
    String(LAYOUT + 1),
  ])
})

test('the way back: the command of docs/redis.md leaves a queue that an older program can use, and that has lost nothing', async () => {
  const page = readFileSync(new URL('../../docs/redis.md', import.meta.url), 'utf8')
  const [, command = ''] = /```sh\n(redis-cli --scan .*)\n```/.exec(page) ?? []
  const worker = await scene.worker()
  await scene.enqueue(3, 'naps')
  await scene.idle()
  await worker.stop()
  await setLayout(LAYOUT + 1)
  const own = command
    .replaceAll('<namespace>.<name>', scene.queue.name)
    .replaceAll('redis-cli', `redis-cli -u ${redisUrl()}`)
  expect(Number(execFileSync('sh', ['-c', own], { encoding: 'utf8' }))).toBeGreaterThan(3)
  expect(await scene.redis.call('KEYS', `${prefixOf(scene.queue.name)}*`)).toEqual([
    `${prefixOf(scene.queue.name)}counts`,
  ])
  await scene.worker()
  const [job] = await scene.enqueue(1, 'naps')
  expect(await job?.result({ timeoutMs: 30_000 })).toBeGreaterThan(0)
  expect(await scene.queue.depth()).toMatchObject({ ready: 0, busy: 0, counts: { enqueued: 4, vanished: 0 } })
}, 60_000)

describe('the command line', () => {
  const env = () => ({ MILLHAND_REDIS_URL: redisUrl(), MILLHAND_NAMESPACE: scene.namespace })

  test.each([
    'queues jobs',
    'workers jobs',
    'jobs jobs',
    'job jobs some-id',
    'enqueue jobs naps',
    'retry jobs --all',
    'delete jobs --all',
    'cancel jobs some-id',
    'pause jobs',
    'resume jobs',
  ])('millhand %s', async (command) => {
    await setLayout(LAYOUT + 1)
    const { code, stdout, stderr } = await millhand(command.split(' '), { env: env() })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toMatch(new RegExp(`^millhand: queue \\S+ ${REFUSAL.source}\\n$`))
  })

  test(
    'one such queue hides none of the others',
    async () => {
      await openQueue(scene.redis, `${scene.namespace}.fine`).pause()
      await setLayout(LAYOUT + 1)
      const queues = await millhand(['queues', '--json'], { env: env() })
      expect(queues).toMatchObject({ code: 1, stderr: expect.stringMatching(REFUSAL) })
      expect(JSON.parse(queues.stdout)).toMatchObject([{ name: 'fine' }])
      const doctor = await millhand(['doctor', '--json'], { env: env() })
      expect(JSON.parse(doctor.stdout).queues).toMatchObject([
        { name: 'fine', findings: [{ check: 'Paused' }] },
        {
          name: 'jobs',
          findings: [{ check: 'Layout', severity: 'problem', remedy: expect.stringMatching(/^upgrade/) }],
        },
      ])
    },
    PATIENCE_MS,
  )

  test(
    'millhand up',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'millhand-newer-'))
      try {
        writeFileSync(join(folder, 'tasks.js'), '')
        writeFileSync(
          join(folder, 'jobs.yaml'),
          `apiVersion: millhand.dev/v1beta1
kind: TaskQueue
metadata: { name: jobs }
---
apiVersion: millhand.dev/v1beta1
kind: WorkerPool
metadata: { name: jobs }
spec:
  queues: [{ name: jobs }]
  template: { spec: { containers: [{ name: worker, image: example/jobs }] } }
`,
        )
        await setLayout(LAYOUT + 1)
        const up = await millhand(['up', '-f', folder], { env: env(), cwd: folder })
        expect(up).toMatchObject({ code: 1, stderr: expect.stringMatching(REFUSAL) })
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    },
    PATIENCE_MS,
  )
})
