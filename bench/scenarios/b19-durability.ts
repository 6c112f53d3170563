// B19: the cost of the wait for a disk or a replica. All rows have one replica and an append-only file, also
// those that wait for neither.
import { execFileSync } from 'node:child_process'
import { valkey } from '../../test/redis-versions.ts'
import type { Order } from '../peer.ts'
import { ENQUEUE_FIGURES, type Figures, type Round, type Scenario, times } from '../scenario.ts'
import { enqueue, until } from '../steps.ts'

const [FAST, FSYNC, REPLICATED] = ['millhand-fork', 'millhand-fsync', 'millhand-replicated'] as const
const [ONE, AT_ONCE, BULK] = ['one by one', '1,000 at once', 'bulk, 100 a call'] as const
const ALWAYS = ', appendfsync always'

const COUNTS: Record<string, number> = { [ONE]: 5_000, [AT_ONCE]: 50_000, [BULK]: 50_000 }
/** With appendfsync everysec a call may take a second, for any number of jobs. */
const COUNTS_OF_SLOW: Record<string, number> = { [ONE]: 50, [AT_ONCE]: 20_000, [BULK]: 5_000 }

export const b19: Scenario = {
  id: 'B19',
  title: 'What durability costs',
  about:
    'Enqueued with durability fast, fsync and replicated, to a server with one replica and an append-only file that is flushed every second, or before each answer; acknowledged jobs a second.',
  peers: [FAST, FSYNC, REPLICATED],
  isOfProducers: true,
  variants: [ONE, AT_ONCE, BULK, ...[ONE, AT_ONCE, BULK].map((how) => how + ALWAYS)],
  // A replica does not wait for a disk.
  plays: (peer, variant) => peer !== REPLICATED || !variant.endsWith(ALWAYS),
  jobs: { warmUp: 0, most: 0 },
  hasWarmUp: false,
  figures: ENQUEUE_FIGURES.filter(({ name }) => name !== 'bytes'),
  settings: (variant) => ({
    appendonly: 'yes',
    appendfsync: variant.endsWith(ALWAYS) ? 'always' : 'everysec',
    'repl-diskless-sync-delay': '0',
  }),
  program: async () => (canWaitForDisk() ? 'redis-server' : valkey()),
  round: measure,
  criteria: (results) => [
    // Jobs that are enqueued during the wait for a disk or a replica go together.
    times(results, { peer: FSYNC, to: FSYNC, least: 100, variants: [AT_ONCE, ONE] }),
    times(results, { peer: REPLICATED, to: REPLICATED, least: 5, variants: [AT_ONCE, ONE] }),
  ],
}

async function measure(round: Round): Promise<Figures> {
  const { server, peer, variant, payload } = round
  const replica = await round.startServer()
  await replica.redis.replicaof('127.0.0.1', new URL(server.url).port)
  const isUp = async () => (await replica.redis.info('replication')).includes('master_link_status:up')
  await until(isUp, 30_000, 'the replica follows')
  if (peer.name === FAST && variant === ONE) round.note(`all of them on ${await nameOf(round)}`)
  const how = variant.replace(ALWAYS, '')
  const isSlow = peer.name === FSYNC && !variant.endsWith(ALWAYS)
  const count = (isSlow ? COUNTS_OF_SLOW : COUNTS)[how] ?? 0
  return (await enqueue(round, orderOf(how, count, payload))) ?? {}
}

function orderOf(how: string, count: number, payload: string): Order {
  const what = { from: 0, count, payload }
  if (how === ONE) return { do: 'one-by-one', ...what }
  return how === BULK ? { do: 'bulk', batch: 100, ...what } : { do: 'concurrent', width: 1_000, ...what }
}

async function nameOf({ server }: Round): Promise<string> {
  const info = await server.redis.info('server')
  const [, valkeyVersion] = /valkey_version:(\S+)/.exec(info) ?? []
  return valkeyVersion ? `Valkey ${valkeyVersion}` : `Redis ${/redis_version:(\S+)/.exec(info)?.[1]}`
}

function canWaitForDisk(): boolean {
  const text = execFileSync('redis-server', ['--version'], { encoding: 'utf8' })
  const [major = 0, minor = 0] = (/v=(\d+)\.(\d+)/.exec(text) ?? []).slice(1).map(Number)
  return major > 7 || (major === 7 && minor >= 2)
}
