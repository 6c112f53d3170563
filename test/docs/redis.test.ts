// docs/redis.md: a server with its settings suits a queue, and its addresses are addresses.
import { readFileSync } from 'node:fs'
import { examineServer } from 'millhand/doctor'
import { connectRedis } from 'millhand/queue'
import { parseAddress } from '../../worker-runtime/src/redis/address.ts'
import { RedisServer } from '../redis-server.ts'

const page = readFileSync(new URL('../../docs/redis.md', import.meta.url), 'utf8')

test('a server with these settings has nothing to find fault with', async () => {
  const conf = /```conf\n([\s\S]*?)```/.exec(page)?.[1] ?? ''
  const settings = conf.split('\n').filter((line) => /^\w/.test(line))
  expect(settings).toHaveLength(3)
  const server = await RedisServer.start({
    args: settings.flatMap((line) => {
      const [name = '', value = ''] = line.split(' ')
      return [`--${name}`, value]
    }),
  })
  const redis = connectRedis(server.url)
  try {
    const { findings } = await examineServer(redis, { nowMs: Date.now })
    expect(findings.filter(({ severity }) => severity === 'problem' || severity === 'warning')).toEqual([])
  } finally {
    redis.close()
    await server.remove()
  }
}, 30_000)

test('every address is one', () => {
  const addresses = [...page.matchAll(/`(rediss?(?:\+\w+)?:\/\/[^`…]+)`/g)].map(([, url = '']) => url)
  expect(addresses).toHaveLength(4)
  for (const url of addresses) expect(parseAddress(url).hosts.length).toBeGreaterThan(0)
})
