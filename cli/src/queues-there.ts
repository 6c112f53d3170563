// Which queues there are. Redis keeps no list of them, so without names the whole key space is looked through, a page at a time.
import { type Connection, openQueue, prefixOf, type Queue } from 'millhand/queue'
import type { Server } from './server.ts'

/** The queues with these names in the command's namespace; without names, all that Redis has (of that namespace, when one is given). */
export async function queuesThere(server: Server, names: readonly string[]): Promise<Queue[]> {
  if (names.length > 0) return [...new Set(names)].map((name) => server.queue(name))
  const found = await namesOfQueues(server.redis)
  return found
    .filter((name) => !server.isNamespaceGiven || partsOf(name).namespace === server.namespace)
    .map((name) => openQueue(server.redis, name))
}

/** `<namespace>.<name>`; a namespace has no dot. */
export function partsOf(queue: string): { namespace: string; name: string } {
  const dot = queue.indexOf('.')
  return dot < 0
    ? { namespace: '', name: queue }
    : { namespace: queue.slice(0, dot), name: queue.slice(dot + 1) }
}

/** Nobody declared it, enqueued into it or works on it: most likely its name is misspelt. */
export async function isNew(queue: Queue): Promise<boolean> {
  const keys = ['counts', 'config', 'workers'].map((key) => prefixOf(queue.name) + key)
  return (await queue.redis.call('EXISTS', ...keys)) === 0
}

/** Every queue that was declared has `config`, every one that had a job has `counts`. What looks alike, but has no queue's name, is not ours. */
async function namesOfQueues(redis: Connection): Promise<string[]> {
  const names = new Set<string>()
  await redis.atEachServer(async (server) => {
    let cursor = '0'
    do {
      const page = ['MATCH', `${prefixOf('*')}co*`, 'COUNT', 2_000, 'TYPE', 'hash'] as const
      const [next, keys] = (await server.call('SCAN', cursor, ...page)) as [string, string[]]
      cursor = next
      for (const key of keys) {
        const [, name] = /^mh:\{([a-z0-9][a-z0-9._-]{0,126})\}:(?:counts|config)$/.exec(key) ?? []
        if (name !== undefined) names.add(name)
      }
    } while (cursor !== '0')
  })
  return [...names].sort()
}
