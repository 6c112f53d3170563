// Millhand as users run it: the package, built from this checkout into the cache. And its loop alone, without
// children.
import { type ChildProcess, execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { connectRedis, openQueue, type Queue, queueName } from 'millhand/queue'
import type { Peer, Place, WorkerOptions } from '../peer.ts'
import { installPackages, installPrograms, startNode } from './node-package.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const RUNTIME = join(ROOT, 'worker-runtime')

const versionOf = (folder: string): string =>
  JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).version

/** A hash of the sources, so that no old build is measured. */
function stamp(): string {
  const hash = createHash('sha256')
  for (const folder of ['src', 'bin', 'prebuilt'])
    for (const entry of readdirSync(join(RUNTIME, folder), { recursive: true, withFileTypes: true }))
      if (entry.isFile()) hash.update(entry.name).update(readFileSync(join(entry.parentPath, entry.name)))
  return hash.digest('hex').slice(0, 8)
}

const folderOf = (cache: string): string => join(cache, `millhand-${versionOf(RUNTIME)}-${stamped}`)
const stamped = stamp()

async function install(cache: string): Promise<Record<string, string>> {
  const folder = folderOf(cache)
  installPackages(folder, {})
  const target = join(folder, 'node_modules/millhand')
  if (!existsSync(join(target, 'prebuilt'))) build(target)
  installPrograms(folder, 'millhand')
  return { millhand: `${versionOf(RUNTIME)} (source ${stamped})` }
}

/** Builds the files of `npm pack` outside of the checkout, where another build may run. */
function build(target: string): void {
  rmSync(target, { recursive: true, force: true })
  mkdirSync(target, { recursive: true })
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
  const project = join(RUNTIME, 'tsconfig.build.json')
  execFileSync(process.execPath, [tsc, '-p', project, '--outDir', join(target, 'dist')], { stdio: 'pipe' })
  const scripts = join(RUNTIME, 'src/queue/lua')
  cpSync(scripts, join(target, 'dist/queue/lua'), { recursive: true })
  for (const part of ['package.json', 'bin', 'prebuilt'])
    cpSync(join(RUNTIME, part), join(target, part), { recursive: true })
  // The dependencies of the package, as they are installed here.
  const { dependencies } = JSON.parse(readFileSync(join(RUNTIME, 'package.json'), 'utf8'))
  mkdirSync(join(target, 'node_modules'))
  for (const name of Object.keys(dependencies))
    symlinkSync(join(ROOT, 'node_modules', name), join(target, 'node_modules', name))
}

const producerWith =
  (env: Record<string, string>) =>
  ({ cache, redisUrl }: Place) =>
    startNode([join(folderOf(cache), 'millhand/producer.js'), redisUrl], env)

/** The queue that was asked last: rounds come one after the other, each with a server of its own. */
let asked: { url: string; queue: Queue } | undefined

const unsettled: NonNullable<Peer['unsettled']> = async (_redis, { redisUrl }) => {
  if (asked?.url !== redisUrl) {
    asked?.queue.redis.close()
    asked = { url: redisUrl, queue: openQueue(connectRedis(redisUrl), queueName('default', 'bench')) }
  }
  const { ready, delayed, busy } = await asked.queue.depth()
  return ready + delayed + busy
}

export interface RealWorkerOptions extends Omit<WorkerOptions, 'task'> {
  /** 'mixed': all kinds of jobs, for a soak. */
  task: WorkerOptions['task'] | 'mixed'
  mode: 'Fork' | 'Spawn' | 'Reuse'
  /** Reuse: over how many children the slots are spread. */
  children?: number
  queue?: string
  /** A module that is loaded besides the tasks. */
  module?: string
  /** A program of programs/millhand/ that is loaded before the worker's own code. */
  preload?: string
  env?: Record<string, string>
}

/** The worker that users run, with its defaults and these options. */
export function startRealWorker(place: Place, options: RealWorkerOptions): ChildProcess {
  const { mode, slots, task, children = slots, queue = 'bench', module, preload, env } = options
  const folder = folderOf(place.cache)
  const preloads = ['end-with-stdin', ...(preload ? [preload] : [])]
  const modules = [...(module ? [module] : []), join(folder, 'millhand/tasks.js')]
  const worker = startNode(
    [
      ...preloads.map((name) => `--import=${join(folder, `millhand/${name}.js`)}`),
      join(folder, 'node_modules/millhand/bin/millhand-worker.js'),
      ...modules,
    ],
    {
      MILLHAND_REDIS_URL: place.redisUrl,
      MILLHAND_QUEUES: JSON.stringify([{ name: queue }]),
      MILLHAND_SLOTS: String(slots),
      MILLHAND_ISOLATION: mode,
      ...(mode === 'Reuse' && { MILLHAND_JOBS_AT_ONCE_PER_CHILD: String(Math.ceil(slots / children)) }),
      MILLHAND_DRAIN_TIMEOUT_SECONDS: '2',
      BENCH_RECORDS: place.records,
      BENCH_TASK: task,
      BENCH_ONE_JOB: mode === 'Reuse' ? '0' : '1',
      ...env,
    },
  )
  return sayingReady(worker)
}

/** Resolves when the worker logs that it is ready. */
function sayingReady(worker: ChildProcess): ChildProcess {
  const translate = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      done(null, chunk.includes('"worker ready"') ? '{"ready":true}\n' : chunk)
    },
  })
  worker.stdout = worker.stdout?.pipe(translate) ?? null
  return worker
}

const startProducer = producerWith({})
const shared = { delivery: 'at least once', install, startProducer, unsettled } as const
const KEEPS = 'keeps results for an hour, at most 100,000'

export const millhandPeers: Peer[] = [
  {
    ...shared,
    name: 'millhand-loop',
    title: 'Millhand, the loop alone',
    remark: `no mode for users: the claim-settle loop on millhand/queue with the task called in its own process; ${KEEPS}`,
    startWorker: ({ cache, redisUrl, records }, { slots, task }) =>
      startNode([join(folderOf(cache), 'millhand/loop.js'), redisUrl, String(slots)], {
        BENCH_RECORDS: records,
        BENCH_TASK: task,
      }),
  },
  {
    ...shared,
    name: 'millhand-reuse',
    title: 'Millhand, Reuse',
    remark: `a worker and two children, the slots spread over them; ${KEEPS}`,
    startWorker: (place, options) => startRealWorker(place, { ...options, mode: 'Reuse', children: 2 }),
  },
  {
    ...shared,
    name: 'millhand-reuse-100',
    title: 'Millhand, Reuse, 100 at once',
    remark: `a worker and two children, 50 jobs at once in each whatever the scenario asks: as many in all as BullMQ; ${KEEPS}`,
    startWorker: (place, options) =>
      startRealWorker(place, { ...options, slots: 100, mode: 'Reuse', children: 2 }),
  },
  {
    ...shared,
    name: 'millhand-fork',
    title: 'Millhand, Fork',
    remark: `the default: a fork of a process that has loaded the tasks for each job; ${KEEPS}`,
    startWorker: (place, options) => startRealWorker(place, { ...options, mode: 'Fork' }),
  },
  {
    ...shared,
    name: 'millhand-spawn',
    title: 'Millhand, Spawn',
    remark: `a fresh Node process for each job; ${KEEPS}`,
    startWorker: (place, options) => startRealWorker(place, { ...options, mode: 'Spawn' }),
  },
  ...(['fsync', 'replicated'] as const).map((durability) => ({
    ...shared,
    name: `millhand-${durability}`,
    title: `Millhand with ${durability}`,
    remark: `an enqueue counts as done when ${durability === 'fsync' ? 'the disk has it' : 'a replica has it too'}; ${KEEPS}`,
    startProducer: producerWith({ BENCH_DURABILITY: durability }),
    startWorker: (place: Place, options: WorkerOptions) =>
      startRealWorker(place, { ...options, mode: 'Fork' as const }),
  })),
]
