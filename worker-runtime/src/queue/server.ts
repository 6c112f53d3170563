// What kind of Redis it is, said aloud once at the start of a worker, because its settings decide what survives.
import type { Connection } from './connection.ts'

export interface ServerFacts {
  version: string
  /** Sentences for a person: what this server may lose or refuse. */
  warnings: string[]
}

/** Managed services forbid CONFIG: what cannot be asked is not warned about. */
export async function lookAtServer(redis: Connection): Promise<ServerFacts> {
  const info = String(await redis.call('INFO'))
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1]
  const name = field('server_name') === 'valkey' ? 'Valkey' : 'Redis'
  const version = field('valkey_version') ?? field('redis_version') ?? 'unknown'
  const warnings: string[] = []
  const [major = 0, minor = 0] = (field('redis_version') ?? '').split('.').map(Number)
  if (major < 6 || (major === 6 && minor < 2))
    warnings.push(`${name} ${version} is too old: Millhand needs Redis 6.2 or Valkey 7.2`)
  const policy = field('maxmemory_policy')
  if (policy && policy !== 'noeviction' && field('maxmemory') !== '0')
    warnings.push(`maxmemory-policy is ${policy}: the server may drop jobs; set it to noeviction`)
  if (field('aof_enabled') === '0')
    warnings.push('appendonly is off: jobs of the last minutes are lost when the server dies')
  return { version: `${name} ${version}`, warnings }
}
