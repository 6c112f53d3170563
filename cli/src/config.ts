// Environment → Config, once. The only place of the CLI that reads process.env.

import { accessFrom, certificatesFrom, type RedisAccess } from 'millhand/queue'

export interface Config {
  readonly redis: RedisAccess | undefined
  /** Also without an address: one may be given as an option. */
  readonly certificates: Omit<RedisAccess, 'url'>
  readonly namespace: string | undefined
  /** Failures show where in the program they came up. */
  readonly isDebug: boolean
  readonly mayColor: boolean
  /** For the processes that are started. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

export function readConfig(environment: Config['environment'] = process.env): Config {
  return {
    redis: accessFrom(environment),
    certificates: certificatesFrom(environment),
    namespace: environment.MILLHAND_NAMESPACE || undefined,
    isDebug: Boolean(environment.MILLHAND_DEBUG),
    mayColor: !environment.NO_COLOR && environment.TERM !== 'dumb',
    environment,
  }
}
