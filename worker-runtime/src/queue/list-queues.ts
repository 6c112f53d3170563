// Which queues there are. Redis keeps no list of them: the whole key space is looked through, a page at a
// time.
import type { Connection } from '../redis/connection.ts'
import { listOf, textOf } from './answers.ts'
import { prefixOf } from './keys.ts'

/**
 * Every queue that was declared has `config`, every one that had a job has `counts`. What looks alike, but
 * has no queue's name, is not ours. Calls `check` after each page, which may throw. Throws RedisDataInvalid.
 */
export async function listQueues(redis: Connection, check: (found: number) => void): Promise<string[]> {
  const names = new Set<string>()
  await redis.atEachServer(async (server) => {
    let cursor = '0'
    do {
      const page = ['MATCH', `${prefixOf('*')}co*`, 'COUNT', 2_000, 'TYPE', 'hash'] as const
      const [next, found] = listOf(await server.call('SCAN', cursor, ...page), 'a page of keys', 2)
      for (const key of listOf(found, 'a page of keys').map((each) =>
        textOf(each, 'a key', Number.POSITIVE_INFINITY),
      )) {
        const [, name] = /^mh:\{([a-z0-9][a-z0-9._-]{0,126})\}:(?:counts|config)$/.exec(key) ?? []
        if (name !== undefined) names.add(name)
      }
      check(names.size)
      cursor = textOf(next, 'the place in the list of keys', 20)
    } while (cursor !== '0')
  })
  return [...names].sort()
}
