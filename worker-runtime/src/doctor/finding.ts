// A finding: what was looked at, how bad it is, what is, and what to do. The one form for the worker's start,
// the operator's conditions and millhand doctor.

/**
 * In rising order. A note is worth knowing, a warning asks for a repair, a problem keeps queues from working
 * or loses jobs.
 */
export const SEVERITIES = ['ok', 'note', 'warning', 'problem'] as const
export type Severity = (typeof SEVERITIES)[number]

export interface Finding<Check extends string = string> {
  /** The name of the check, in one word; stable, for programs. */
  readonly check: Check
  readonly severity: Severity
  /** The state that was found. */
  readonly message: string
  /** The remedy; absent where nothing is to be done. */
  readonly remedy?: string
  /** host:port, where there are several servers. */
  readonly server?: string
}

export function worstFirst<T extends Pick<Finding, 'severity'>>(findings: readonly T[]): T[] {
  return [...findings].sort((a, b) => SEVERITIES.indexOf(b.severity) - SEVERITIES.indexOf(a.severity))
}

export const isAtLeast = (severity: Severity, least: Severity): boolean =>
  SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least)
