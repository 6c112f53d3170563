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

test('the keys of the Secret are those that the operator gives to a worker, and the command makes two of them', () => {
  const [, keys = ''] = /^\| key of the Secret[^|]*\|(.*)\|$/m.exec(page) ?? []
  const [, variables = ''] = /^\| environment \|(.*)\|$/m.exec(page) ?? []
  const cells = (row: string) => row.split('|').map((cell) => cell.replaceAll(/[` ]/g, ''))
  const deployment = readFileSync(new URL('../../operator/src/fleet/deployment.ts', import.meta.url), 'utf8')
  const given = [
    ...deployment.matchAll(/fromSecret\('(MILLHAND_REDIS_\w+)', { name: secretName, key: '([\w.]+)'/g),
  ]
  expect(Object.fromEntries(given.map(([, variable, key]) => [variable, key]))).toEqual({
    MILLHAND_REDIS_URL: 'url',
    ...Object.fromEntries(cells(variables).map((variable, at) => [variable, cells(keys)[at]])),
  })
  const [command = ''] = /^kubectl create secret .*$/m.exec(page) ?? []
  expect(command).toMatch(/--from-literal=url=rediss:\/\/\S+ --from-file=ca\.crt$/)
})
