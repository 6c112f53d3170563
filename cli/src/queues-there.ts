// Finds queues. Redis has no list of them: without names this scans all keys, page by page.
import { type Connection, listQueues, nearest, openQueue, type Queue, QueueRefused } from 'millhand/queue'
import { CommandFailed } from './context.ts'
import type { Server } from './server.ts'

/**
 * The queues with these names in the command's namespace. Without names: all queues in Redis, or all of the
 * given namespace.
 */
export async function queuesThere(server: Server, names: readonly string[]): Promise<Queue[]> {
  if (names.length > 0) return [...new Set(names)].map((name) => server.queue(name))
  const found = await namesOfQueues(server.redis)
  return found
    .filter((name) => !server.isNamespaceGiven || partsOf(name).namespace === server.namespace)
    .map((name) => openQueue(server.redis, name))
}

export interface Asked<T> {
  answers: T[]
  /**
   * Why some queues cannot be read: a newer Millhand wrote them. The command shows the others.
   */
  refused: QueueRefused[]
}

export async function askEach<T>(
  queues: readonly Queue[],
  ask: (queue: Queue) => Promise<T>,
): Promise<Asked<T>> {
  const refused: QueueRefused[] = []
  const answers = await Promise.all(
    queues.map(async (queue) => {
      try {
        return [await ask(queue)]
      } catch (error) {
        if (!(error instanceof QueueRefused)) throw error
        refused.push(error)
        return []
      }
    }),
  )
  return { answers: answers.flat(1) as T[], refused }
}

/** Called at the end of the output. */
export function complainOf({ refused }: Asked<unknown>): void {
  if (refused.length > 0) throw new CommandFailed(refused.map(({ message }) => message).join('\n'))
}

/** `<namespace>.<name>`; a namespace has no dot. */
export function partsOf(queue: string): { namespace: string; name: string } {
  const dot = queue.indexOf('.')
  return dot < 0
    ? { namespace: '', name: queue }
    : { namespace: queue.slice(0, dot), name: queue.slice(dot + 1) }
}

/**
 * Whether no TaskQueue declares it and no worker serves it; with the most similar existing name, if any.
 */
export async function unserved(
  queue: Queue,
  { redis }: Server,
): Promise<{ isUnserved: boolean; near?: string | undefined }> {
  if ((await queue.hasWorkers()) || (await queue.owner())) return { isUnserved: false }
  const { namespace, name } = partsOf(queue.name)
  const others = (await namesOfQueues(redis))
    .map(partsOf)
    .filter((other) => other.namespace === namespace && other.name !== name)
  return {
    isUnserved: true,
    near: nearest(
      name,
      others.map((other) => other.name),
    ),
  }
}

async function namesOfQueues(redis: Connection): Promise<string[]> {
  const untilMs = performance.now() + LOOKING_MS
  return listQueues(redis, (found) => {
    if (found > MOST_QUEUES)
      throw new CommandFailed(`too many queues, more than ${MOST_QUEUES}: ${GIVE_NAMES}`)
    if (performance.now() > untilMs)
      throw new CommandFailed(`Redis still lists keys (SCAN) after ${LOOKING_MS / 1000} s: ${GIVE_NAMES}`)
  })
}

const LOOKING_MS = 20_000
const MOST_QUEUES = 10_000
const GIVE_NAMES = 'name the queues that matter, like millhand queues mail thumbnails'
