// Environment → Config, once. The only place of the CLI that reads process.env.

import { accessFrom, certificatesFrom, type RedisAccess } from 'millhand/queue'

export interface Config {
  readonly redis: RedisAccess | undefined
  /** It may have no address: an option may give one. */
  readonly certificates: Omit<RedisAccess, 'url'>
  readonly namespace: string | undefined
  /** Of a dashboard, and what signs in there. */
  readonly api: string | undefined
  readonly apiToken: string | undefined
  /** Failures are printed with their stack. */
  readonly isDebug: boolean
  readonly mayColor: boolean
  /** The terminal can move its cursor. */
  readonly mayDraw: boolean
  /** The locale has another character set than UTF-8. */
  readonly isAscii: boolean
  /** The environment of the processes that it starts. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

export function readConfig(environment: Config['environment'] = process.env): Config {
  return {
    redis: accessFrom(environment),
    certificates: certificatesFrom(environment),
    namespace: environment.MILLHAND_NAMESPACE || undefined,
    api: environment.MILLHAND_API || undefined,
    apiToken: environment.MILLHAND_API_TOKEN || undefined,
    isDebug: Boolean(environment.MILLHAND_DEBUG),
    mayColor: !environment.NO_COLOR && environment.TERM !== 'dumb',
    mayDraw: environment.TERM !== 'dumb',
    isAscii: isAsciiIn(environment),
    environment,
  }
}

/** Most containers set no locale; the terminal outside of them has UTF-8. */
function isAsciiIn({ LC_ALL, LC_CTYPE, LANG }: Config['environment']): boolean {
  const locale = LC_ALL || LC_CTYPE || LANG || 'C.UTF-8'
  return !/utf-?8/i.test(locale)
}
