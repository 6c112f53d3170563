// The condition RedisSuitable: problems of a Redis that a person should solve. Pure.
import { type Check, isAtLeast, type ServerFinding } from 'millhand/doctor'
import type { Finding } from '../resources/conditions.ts'
import type { ServerReason } from '../resources/reasons.ts'

/** The reason of each check. */
export const REASON_OF: Readonly<Record<Check, ServerReason>> = {
  Connection: 'ServerAway',
  Rights: 'InfoRefused',
  Version: 'VersionTooOld',
  Role: 'ReadOnlyReplica',
  Cluster: 'ClusterIncomplete',
  Eviction: 'EvictionPolicy',
  Memory: 'MemoryNearlyFull',
  Fragmentation: 'MemoryFragmented',
  Persistence: 'NotPersistent',
  Replicas: 'ReplicasNotInStep',
  Clients: 'ConnectionsNearlyFull',
  Clock: 'ClocksDiffer',
}

/**
 * A problem that keeps queues from working and does not pass. A server of a Cluster that is away is none:
 * replicas take over.
 */
export function lastingProblem(findings: readonly ServerFinding[] = []): ServerFinding | undefined {
  return findings.find(({ check, severity }) => severity === 'problem' && check !== 'Connection')
}

/** Findings come worst first. The name of a server of a Cluster is left out: it is the server's own word. */
export function redisSuitable(findings: readonly ServerFinding[] | 'unknown'): Finding {
  const type = 'RedisSuitable'
  if (findings === 'unknown')
    return {
      type,
      status: 'Unknown',
      reason: 'RedisUnreachable',
      message: 'Redis did not answer INFO and CONFIG GET',
    }
  const [worst, ...others] = findings.filter(({ severity }) => isAtLeast(severity, 'warning'))
  if (worst) {
    const sentences = [worst, ...others].map(({ message, remedy }) => `${message}. ${remedy ?? ''}`.trim())
    return {
      type,
      status: 'False',
      reason: REASON_OF[worst.check],
      message: [...new Set(sentences)].join(' | '),
    }
  }
  const refusal = findings.find(({ check }) => check === 'Rights')
  if (refusal)
    return {
      type,
      status: 'Unknown',
      reason: REASON_OF.Rights,
      message: `${refusal.message}. ${refusal.remedy ?? ''}`,
    }
  const version = findings.find(({ check }) => check === 'Version')?.message ?? 'Redis'
  return { type, status: 'True', reason: 'Suitable', message: `${version}: no problem found` }
}
