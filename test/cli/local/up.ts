// Starts what `millhand up` starts, in a folder of its own, and hears its events.
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Client, connect } from 'millhand/client'
import { connectRedis, openQueue, type Queue } from 'millhand/queue'
import { type Local, type LocalEvent, type LocalOptions, startLocal } from '../../../cli/src/local/index.ts'
import { eventually } from '../../eventually.ts'
import { folderWith } from './folder.ts'

export interface Up {
  local: Local
  client: Client
  queue: Queue
  close(): void
  folder: string
  events: LocalEvent[]
  seen<Kind extends LocalEvent['kind']>(kind: Kind): Extract<LocalEvent, { kind: Kind }>[]
  next<Kind extends LocalEvent['kind']>(
    kind: Kind,
    count?: number,
  ): Promise<Extract<LocalEvent, { kind: Kind }>>
}

/** What the tests need to see of a job: where it ran, and that it was there. */
export const TASKS = `
import { existsSync } from 'node:fs'
import { task } from 'millhand'
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
export const where = task('where', () => ({ parent: process.ppid, version: 1, greeting: process.env.GREETING }))
export const untilFile = task('untilFile', async ({ file }: { file: string }, job) => {
  await job.progress('running')
  while (!existsSync(file)) await wait(20)
  return { attempt: job.attempt, version: 1 }
})
`

export function poolManifest(spec: object = {}, name = 'work'): string {
  const whole = {
    queues: [{ name: 'work' }],
    isolation: { mode: 'Spawn' },
    scaling: { maxReplicas: 3, behavior: { scaleDown: { stabilizationWindowSeconds: 1 } } },
    template: { spec: { containers: [{ name: 'worker', env: [{ name: 'GREETING', value: 'hello' }] }] } },
    ...spec,
  }
  return JSON.stringify({
    apiVersion: 'millhand.dev/v1beta1',
    kind: 'WorkerPool',
    metadata: { name },
    spec: whole,
  })
}

export function queueManifest(spec: object = {}): string {
  const metadata = { name: 'work' }
  return JSON.stringify({ apiVersion: 'millhand.dev/v1beta1', kind: 'TaskQueue', metadata, spec })
}

const FILES = {
  'tasks.ts': TASKS,
  'queue.yaml': queueManifest({ retry: { backoff: { baseSeconds: 0 } } }),
  'pool.yaml': poolManifest(),
}

export function upFolder(files: Record<string, string> = {}): string {
  const folder = folderWith({ ...FILES, ...files })
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(
    fileURLToPath(new URL('../../../worker-runtime', import.meta.url)),
    join(folder, 'node_modules', 'millhand'),
  )
  return folder
}

const running: Up[] = []

export async function startUp(
  files: Record<string, string> = {},
  options: Partial<LocalOptions> = {},
): Promise<Up> {
  return startUpIn(upFolder(files), options)
}

export async function startUpIn(folder: string, options: Partial<LocalOptions> = {}): Promise<Up> {
  const events: LocalEvent[] = []
  const outside = { workingFolder: folder }
  const onEvent = (event: LocalEvent) => events.push(event)
  const local = await startLocal({
    paths: ['.'],
    reload: false,
    dataFolder: 'temporary',
    onEvent,
    outside,
    ...options,
  })
  const client = connect({ redis: local.redisUrl, namespace: 'default' })
  const connection = connectRedis(local.redisUrl)
  const seen: Up['seen'] = (kind) => events.filter((event) => event.kind === kind) as never
  const up: Up = {
    local,
    client,
    queue: openQueue(connection, 'default.work'),
    close() {
      client.close()
      connection.close()
    },
    folder,
    events,
    seen,
    next: (kind, count = 1) =>
      eventually(() => seen(kind)[count - 1], {
        what: `${count} times ${kind} among ${kindsOf(events)}`,
        withinMs: 45_000,
      }),
  }
  running.push(up)
  return up
}

function kindsOf(events: LocalEvent[]): string {
  return events.map(({ kind }) => kind).join(' ')
}

afterEach(async () => {
  for (const { local, close } of running.splice(0)) {
    close()
    void local.stop()
    await local.stop()
  }
})
