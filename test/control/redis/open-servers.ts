// The operator's connections as its reconciles get them, where Secrets are a table: url by the Secret's name.
import { silent } from 'millhand/queue'
import { type Fence, openFence } from '../../../control/src/engine/fence.ts'
import type { QueuePlace } from '../../../control/src/redis/problems.ts'
import { Secrets } from '../../../control/src/redis/secrets.ts'
import { Servers } from '../../../control/src/redis/servers.ts'

export interface OpenServers {
  servers: Servers
  /** The places that stirred. */
  stirs: QueuePlace[]
  /** Time that passes at once. */
  clock: { skippedMs: number }
}

/** `urls` may be changed: a Secret that is forgotten is read again. */
export function openServers(
  urls: Record<string, string>,
  {
    queueNames = [],
    chartRedis,
    fence = openFence,
  }: { queueNames?: readonly string[]; chartRedis?: string; fence?: Fence } = {},
): OpenServers {
  const stirs: QueuePlace[] = []
  const clock = { skippedMs: 0 }
  const nowMs = () => performance.now() + clock.skippedMs
  const readSecret = async (_namespace: string, name: string) => ({ url: urls[name] ?? '' })
  const servers = new Servers({
    name: 'millhand-operator',
    reach: new Secrets({
      readSecret,
      secretNames: Object.keys(urls),
      denials: { servers: [], networks: ['127.0.0.0/8'] },
      nowMs,
    }),
    queueNames,
    chartRedis,
    onStirred: (place) => stirs.push(place),
    fence,
    log: silent,
    nowMs,
    wallMs: () => Date.now(),
  })
  return { servers, stirs, clock }
}
