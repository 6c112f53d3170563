import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { jest } from '@jest/globals'
import { connectRedis, defaultSettings, openQueue } from 'millhand/queue'
import { findRunning } from '../../../cli/src/local/index.ts'
import { eventually } from '../../eventually.ts'
import { isAlive } from '../../processes.ts'
import { RedisServer } from '../../redis-server.ts'
import { writeFiles } from './folder.ts'
import { isListening } from './listening.ts'
import { poolManifest, queueManifest, startUp, startUpIn, TASKS, type Up, upFolder } from './up.ts'

// Real processes on a busy machine.
jest.setTimeout(60_000)

/** A job that runs until the test lets it go. */
async function longJob(up: Up, name: string) {
  const file = join(up.folder, `go-${name}`)
  const job = await up.client.queue('work').enqueue('untilFile', { file })
  return {
    job,
    id: job.id,
    release: () => writeFileSync(file, ''),
    result: () => job.result({ timeoutMs: 20_000 }),
  }
}

const busyWith = (up: Up, count: number) =>
  eventually(async () => (await up.queue.depth()).busy === count, {
    what: `${count} busy jobs`,
    withinMs: 45_000,
  })

describe('up', () => {
  test('has no worker without jobs, one soon after the first job, and none again after the window', async () => {
    const up = await startUp()
    expect(up.local.workerPids()).toEqual([])
    const enqueuedAtMs = Date.now()
    const job = await up.client.queue('work').enqueue('where', {})
    await up.next('worker-started')
    const startedWithinMs = Date.now() - enqueuedAtMs
    expect(startedWithinMs).toBeLessThan(5000)
    expect(await job.result({ timeoutMs: 20_000 })).toMatchObject({ version: 1, greeting: 'hello' })
    const { worker, pid } = await up.next('worker-stopped')
    expect([worker, isAlive(pid)]).toEqual(['work-1', false])
    expect(up.seen('pool-scaled').map(({ from, to, message }) => [from, to, message])).toEqual([
      [0, 1, '1 replica: 1 job ready or running, 1 slot per replica'],
      [1, 0, '0 replicas: no jobs ready or running'],
    ])
  })

  test('finds the job that a worker held which died when nobody was left to notice', async () => {
    const up = await startUp()
    const job = await up.client.queue('work').enqueue('where', {}, { delayMs: 50 })
    const nobody = { process: 'gone', pod: '', podUid: 'gone', poolUid: '', node: '', slots: 1 }
    await up.queue.register({ ...nobody, worker: 'gone:1', isolation: '', isolationNote: '', version: '' })
    await up.queue.pause()
    await eventually(async () => (await up.queue.depth()).due === 1, { what: 'the job is due' })
    await up.queue.resume()
    const { claims } = await up.queue.settleAndClaim({ worker: 'gone:1', wanted: 1 })
    // Without workers of its own `up` has nothing to do, as long as that one seems to live.
    expect(claims).toHaveLength(1)
    expect(await job.result({ timeoutMs: 40_000 })).toMatchObject({ version: 1 })
  })

  test('starts a worker for every job up to the maximum, and never stops a busy one', async () => {
    const up = await startUp()
    const jobs = await Promise.all(['a', 'b', 'c', 'd'].map((name) => longJob(up, name)))
    await busyWith(up, 3)
    expect(
      up.local
        .workers()
        .map(({ name }) => name)
        .sort(),
    ).toEqual(['work-1', 'work-2', 'work-3'])
    jobs[0]?.release()
    await jobs[0]?.result()
    await busyWith(up, 3)
    jobs[1]?.release()
    jobs[2]?.release()
    // Two workers have nothing to do any more and go; the third runs the last job, by whichever it was claimed.
    await up.next('worker-stopped', 2)
    jobs[3]?.release()
    expect(await jobs[3]?.result()).toMatchObject({ attempt: 1 })
    await up.next('worker-stopped', 3)
    expect(up.seen('worker-died')).toEqual([])
  })

  test('asks Redis nothing while nothing happens, and has a worker for a delayed job in time', async () => {
    const up = await startUp()
    const redis = connectRedis(up.local.redisUrl)
    const scripts = async () =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(String(await redis.call('INFO', 'commandstats')))?.[1] ?? 0)
    const before = await scripts()
    const delayMs = 6_000
    const dueAtMs = Date.now() + delayMs
    await up.client.queue('work').enqueue('where', {}, { delayMs })
    await up.next('pool-scaled')
    expect(Math.abs(Date.now() - dueAtMs)).toBeLessThan(1_500)
    // One look of the pool and one of its queue, as many when the job came and when it was due.
    expect((await scripts()) - before).toBeLessThan(20)
    redis.close()
  })

  test('tells a condition that turns bad, in the words of the operator', async () => {
    const up = await startUp({}, { reload: true })
    const far = {
      ...JSON.parse(queueManifest({ redis: { secretRef: { name: 'far' } } })),
      metadata: { name: 'far' },
    }
    writeFiles(up.folder, {
      'far.yaml': JSON.stringify(far),
      'pool.yaml': poolManifest({ queues: [{ name: 'work' }, { name: 'far' }] }),
    })
    const warning = await eventually(() =>
      up.seen('resource-event').find(({ resource, type }) => resource === 'WorkerPool' && type === 'Warning'),
    )
    expect(warning).toMatchObject({
      resource: 'WorkerPool',
      name: 'work',
      reason: 'QueuesInDifferentRedis',
      message: expect.stringContaining('all queues of a pool must be in one Redis'),
    })
    const status = up.local.objects.get('WorkerPool', 'default/work')?.status
    expect(status?.conditions.find(({ type }) => type === 'Stalled')?.status).toBe('True')
  })

  test('puts the jobs of a killed worker back at once, and replaces it', async () => {
    const up = await startUp()
    const { result, release } = await longJob(up, 'a')
    await busyWith(up, 1)
    const [pid = 0] = up.local.workerPids()
    process.kill(pid, 'SIGKILL')
    expect(await up.next('jobs-put-back')).toMatchObject({
      worker: 'work-1',
      jobs: 1,
      reason: 'the worker process was killed by SIGKILL',
    })
    await up.next('worker-ready', 2)
    release()
    expect(await result()).toMatchObject({ version: 1 })
    expect(up.seen('worker-died')).toHaveLength(1)
  })

  test('lets a job finish on the old code when code is saved, and runs the next one on the new code', async () => {
    const up = await startUp({}, { reload: true })
    const old = await longJob(up, 'old')
    await busyWith(up, 1)
    writeFiles(up.folder, { 'tasks.ts': TASKS.replaceAll('version: 1', 'version: 2') })
    await up.next('code-changed')
    const next = await up.client.queue('work').enqueue('where', {})
    expect(await next.result({ timeoutMs: 20_000 })).toMatchObject({ version: 2 })
    old.release()
    expect(await old.result()).toEqual({ attempt: 1, version: 1 })
    expect(up.seen('worker-stopping')[0]).toMatchObject({ because: 'replaced' })
  })

  test('says what is wrong with the code, and goes on when it is mended', async () => {
    const up = await startUp({ 'tasks.ts': 'throw new Error("no such luck")' }, { reload: true })
    const job = await up.client.queue('work').enqueue('where', {})
    expect((await up.next('pool-misconfigured')).message).toContain('no such luck')
    writeFiles(up.folder, { 'tasks.ts': TASKS })
    expect(await job.result({ timeoutMs: 20_000 })).toMatchObject({ version: 1 })
    expect(up.seen('pool-misconfigured')).toHaveLength(1)
  })

  test('says at its start, and not with the first job, that a file does not load, and where', async () => {
    const up = await startUp({ 'tasks.ts': 'export {}\nthrow new Error("no such luck")' }, { reload: true })
    expect((await up.next('pool-misconfigured')).message).toMatch(/no such luck \(\/\S+\/tasks\.ts:2:7\)$/)
    expect(up.seen('worker-started')).toEqual([])
    writeFiles(up.folder, { 'tasks.ts': TASKS })
    const job = await up.client.queue('work').enqueue('where', {})
    expect(await job.result({ timeoutMs: 20_000 })).toMatchObject({ version: 1 })
  })

  test('takes saved manifests over, and keeps the old ones when the new are refused', async () => {
    const up = await startUp({}, { reload: true })
    writeFiles(up.folder, { 'pool.yaml': poolManifest({ slot: 2 }) })
    const { problems } = await up.next('manifests-refused')
    expect(problems[0]?.message).toBe('spec.slot: there is no slot in spec; did you mean slots?')
    expect(up.local.pools[0]?.pool.slots).toBe(1)
    writeFiles(up.folder, { 'pool.yaml': poolManifest({ slots: 2 }) })
    await up.next('manifests-changed')
    const jobs = await Promise.all(['a', 'b'].map((name) => longJob(up, name)))
    await busyWith(up, 2)
    expect(up.local.workers()).toHaveLength(1)
    for (const { release } of jobs) release()
    for (const { result } of jobs) await result()
  })

  test('changes the number of workers of a running pool without touching those that run', async () => {
    const manual = (replicas: number) => poolManifest({ replicas, scaling: { mode: 'Manual' } })
    const up = await startUp({ 'pool.yaml': manual(1) }, { reload: true })
    const { pid } = await up.next('worker-ready')
    writeFiles(up.folder, { 'pool.yaml': manual(2) })
    await up.next('worker-ready', 2)
    expect(up.local.workerPids()).toContain(pid)
    writeFiles(up.folder, { 'pool.yaml': manual(1) })
    await up.next('worker-stopped')
    expect(up.local.workers()).toHaveLength(1)
  })

  test('survives the death of its Redis, and so do its jobs', async () => {
    const up = await startUp({}, { dataFolder: 'data' })
    const { result, release } = await longJob(up, 'a')
    await busyWith(up, 1)
    const pids = up.local.workerPids()
    process.kill(up.local.redisPid() ?? 0, 'SIGKILL')
    await up.next('redis-away')
    await up.next('redis-back')
    expect(up.local.workerPids()).toEqual(pids)
    release()
    expect(await result()).toEqual({ attempt: 1, version: 1 })
  })

  test('leaves no process, no port and no file after stop, and lets a running job finish', async () => {
    const up = await startUp()
    const { release } = await longJob(up, 'a')
    await busyWith(up, 1)
    const pids = [...up.local.workerPids(), up.local.redisPid() ?? 0]
    expect(findRunning(up.folder)).toEqual({
      redisUrl: up.local.redisUrl,
      pid: process.pid,
      namespace: 'default',
    })
    const stopped = up.local.stop()
    await up.next('worker-stopping')
    release()
    await stopped
    await up.local.done
    expect(up.seen('worker-died')).toEqual([])
    expect(pids.map(isAlive)).toEqual([false, false])
    expect(await isListening(Number(new URL(up.local.redisUrl).port))).toBe(false)
    expect(readdirSync(join(up.folder, '.millhand'))).toEqual(['id'])
  })

  test('lets a job finish also when its worker was already being replaced at the stop', async () => {
    const up = await startUp({}, { reload: true })
    const old = await longJob(up, 'old')
    await busyWith(up, 1)
    writeFiles(up.folder, { 'tasks.ts': TASKS.replaceAll('version: 1', 'version: 2') })
    await up.next('worker-stopping')
    const stopped = up.local.stop()
    await up.next('stopping')
    const result = old.result()
    old.release()
    expect(await result).toEqual({ attempt: 1, version: 1 })
    await stopped
  })

  test('hands a running job back when told twice to stop, and runs it after a restart', async () => {
    const up = await startUp({}, { dataFolder: 'data' })
    const { release, id } = await longJob(up, 'a')
    await busyWith(up, 1)
    void up.local.stop()
    await up.next('worker-stopping')
    await up.local.stop()
    const again = await startUpIn(up.folder, { dataFolder: 'data' })
    await busyWith(again, 1)
    release()
    const ended = again.client.queue('work').job(id)
    expect(await ended.result({ timeoutMs: 20_000 })).toMatchObject({ attempt: 1 })
  })

  test('does not survive its SIGKILL: no worker, no server, and the folder is free', async () => {
    const manual = poolManifest({ replicas: 1, scaling: { mode: 'Manual' } })
    const folder = upFolder({ 'pool.yaml': manual })
    const program = fileURLToPath(new URL('./owns-an-up.ts', import.meta.url))
    const owner = spawn(process.execPath, ['--conditions=millhand-source', program, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(createInterface({ input: owner.stdout }), 'line')
    const { worker, redis, redisUrl } = JSON.parse(line)
    expect([worker, redis].map(isAlive)).toEqual([true, true])
    expect(findRunning(folder)).toMatchObject({ redisUrl, pid: owner.pid })
    owner.kill('SIGKILL')
    await eventually(() => !isAlive(worker) && !isAlive(redis), { what: 'the end of worker and server' })
    expect(findRunning(folder)).toBeUndefined()
    const again = await startUpIn(folder)
    await again.next('worker-ready')
  })

  test('refuses a second one in its folder, and one whose queue is another’s', async () => {
    const up = await startUp()
    await expect(startUpIn(up.folder)).rejects.toThrow(`millhand up runs already in ${up.folder}`)
    const elsewhere = upFolder()
    await expect(startUpIn(elsewhere, { redis: { url: up.local.redisUrl } })).rejects.toThrow(
      `the queue default.work belongs to another owner in this Redis: "millhand up in ${up.folder} on `,
    )
    expect(existsSync(join(elsewhere, '.millhand', 'up.json'))).toBe(false)
    expect(findRunning(up.folder)?.redisUrl).toBe(up.local.redisUrl)
  })

  test('gives its queues back at its end, so that the next one needs no leave', async () => {
    const redis = await RedisServer.start()
    try {
      const first = await startUp({}, { redis: redis.access })
      await first.local.stop()
      const next = await startUpIn(upFolder(), { redis: redis.access })
      expect((await next.queue.owner())?.name).toContain(next.folder)
    } finally {
      await redis.remove()
    }
  })

  test('leaves its schedules in Redis at its end, and deletes at its start those that it has no more', async () => {
    const server = await RedisServer.start()
    const schedule = (name: string) =>
      JSON.stringify({
        apiVersion: 'millhand.dev/v1beta1',
        kind: 'Schedule',
        metadata: { name },
        spec: { queue: 'work', cron: '@yearly', task: 'where' },
      })
    const folder = upFolder({ 'one.yaml': schedule('one'), 'two.yaml': schedule('two') })
    const connection = connectRedis(server.url)
    const { schedules } = openQueue(connection, 'default.work')
    const names = async () => (await schedules.list()).schedules.map(({ name }) => name).sort()
    const has = (wanted: readonly string[]) =>
      eventually(async () => (await names()).join() === wanted.join(), {
        what: `schedules ${wanted}`,
        withinMs: 45_000,
      })
    try {
      await schedules.set('of-a-program', { cron: '@yearly', task: 'where' })
      const first = await startUpIn(folder, { redis: server.access })
      await has(['of-a-program', 'one', 'two'])
      await first.local.stop()
      expect(await names()).toEqual(['of-a-program', 'one', 'two'])
      rmSync(join(folder, 'two.yaml'))
      await startUpIn(folder, { redis: server.access })
      await has(['of-a-program', 'one'])
    } finally {
      connection.close()
      await server.remove()
    }
  })

  test('takes queues over from an owner that was killed when it is told to, once', async () => {
    const redis = await RedisServer.start()
    try {
      const connection = connectRedis(redis.access)
      const queue = openQueue(connection, 'default.work')
      const killed = { ...defaultSettings, ownerUid: 'x --overwrite; curl evil', owner: 'a\nb' }
      await queue.configure(killed)
      const folder = upFolder()
      await expect(startUpIn(folder, { redis: redis.access })).rejects.toThrow(
        /another owner in this Redis: "a b"\. .*add --take-over$/,
      )
      const up = await startUpIn(folder, { redis: redis.access, takeOver: true })
      expect((await queue.owner())?.name).toContain(folder)
      expect(up.seen('warning').map(({ message }) => message)).toContain('took default.work over from "a b"')
      await up.local.stop()
      expect(await queue.owner()).toBeUndefined()
      connection.close()
    } finally {
      await redis.remove()
    }
  })

  test('takes a queue over from the owner that its manifest names', async () => {
    const redis = await RedisServer.start()
    try {
      const connection = connectRedis(redis.access)
      const queue = openQueue(connection, 'default.work')
      const ownerUID = randomUUID()
      await queue.configure({ ...defaultSettings, ownerUid: ownerUID, owner: 'TaskQueue default/work' })
      const files = { 'queue.yaml': queueManifest({ takeOver: { ownerUID } }) }
      const up = await startUpIn(upFolder(files), { redis: redis.access })
      expect((await queue.owner())?.name).toContain(up.folder)
      await up.local.stop()
      connection.close()
    } finally {
      await redis.remove()
    }
  })

  test('waits longer and longer when its workers die at once', async () => {
    const up = await startUp({ 'pool.yaml': poolManifest({ replicas: 3, scaling: { mode: 'Manual' } }) })
    await up.next('worker-ready', 3)
    for (const pid of up.local.workerPids()) process.kill(pid, 'SIGKILL')
    await up.next('worker-died', 3)
    expect(up.seen('worker-died').map(({ nextStartInMs }) => nextStartInMs)).toEqual([500, 1000, 2000])
    await up.next('worker-ready', 6)
  })
})
