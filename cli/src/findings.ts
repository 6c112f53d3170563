// What millhand doctor found, one thing each: what is, and what to do.
import type { Severity } from 'millhand/queue'

export interface Finding {
  /** What was looked at, in one word; stable, for programs. */
  readonly check: string
  readonly severity: Severity
  readonly message: string
  readonly remedy?: string
  /** host:port, where there are several servers. */
  readonly server?: string
}

export function finding(check: string, severity: Severity, message: string, remedy?: string): Finding {
  return { check, severity, message, ...(remedy !== undefined && { remedy }) }
}
