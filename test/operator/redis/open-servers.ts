// The operator's connections as its reconciles get them, where Secrets are a table: url by the Secret's name.
import { silent } from 'millhand/queue'
import { Secrets } from '../../../operator/src/redis/secrets.ts'
import { Servers } from '../../../operator/src/redis/servers.ts'

export interface OpenServers {
  servers: Servers
  /** The queues that stirred. */
  stirs: { namespace: string; queueName: string }[]
  /** Time that passes at once. */
  clock: { skippedMs: number }
}

/** `urls` may be changed: a Secret that is forgotten is read again. */
export function openServers(urls: Record<string, string>): OpenServers {
  const stirs: { namespace: string; queueName: string }[] = []
  const clock = { skippedMs: 0 }
  const nowMs = () => performance.now() + clock.skippedMs
  const readSecret = async (_namespace: string, name: string) => ({ url: urls[name] ?? '' })
  const servers = new Servers({
    secrets: new Secrets({ readSecret, secretNames: Object.keys(urls), deniedServers: [], nowMs }),
    onStirred: (place) => stirs.push(place),
    checkLeading: () => {},
    log: silent,
    nowMs,
    wallMs: () => Date.now(),
  })
  return { servers, stirs, clock }
}
