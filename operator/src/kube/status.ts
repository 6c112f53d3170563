// Writes the status of a resource. A status that the API server refuses, by its schema or a policy, is logged
// and counted, and stops nothing else: it would be refused again, and decisions do not depend on it.
import type { Log } from 'millhand/queue'
import type { Kube, ResourceKind } from './client.ts'
import { isNotFound, isRefused } from './errors.ts'

export interface StatusContext {
  kube: Pick<Kube, 'apply'>
  log: Log
  /** For metrics. */
  onStatusRefused: (kind: string) => void
}

/**
 * Writes it whole: a field that is left out is deleted. Answers whether it was accepted; throws errors that
 * may pass.
 */
export async function writeStatus(
  kind: ResourceKind,
  object: { metadata: { namespace: string; name: string }; status: object },
  { kube, log, onStatusRefused }: StatusContext,
): Promise<boolean> {
  try {
    await kube.apply(kind, object, { status: true, force: true })
    return true
  } catch (error) {
    if (isNotFound(error)) return true
    if (!isRefused(error)) throw error
    onStatusRefused(kind.kind)
    log.error('the API server refuses a status', { kind: kind.kind, ...object.metadata, error })
    return false
  }
}
