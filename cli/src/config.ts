// Environment → Config, once. The only place of the CLI that reads process.env.

import { accessFrom, type RedisAccess } from 'millhand/queue'

export interface Config {
  readonly redis: RedisAccess | undefined
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
    namespace: environment.MILLHAND_NAMESPACE || undefined,
    isDebug: Boolean(environment.MILLHAND_DEBUG),
    mayColor: !environment.NO_COLOR && environment.TERM !== 'dumb',
    environment,
  }
}
