// The condition RedisSuitable: what a person should mend about the Redis of a queue. Pure.
import { type Check, isAtLeast, type ServerFinding } from 'millhand/doctor'
import type { Finding } from '../resources/conditions.ts'
import type { ServerReason } from '../resources/reasons.ts'

/** The reason that the worst finding gives, by what was checked. */
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

/** What keeps queues from working and does not mend itself: of servers of a Cluster that are away, replicas take the place. */
export function lastingProblem(findings: readonly ServerFinding[] = []): ServerFinding | undefined {
  return findings.find(({ check, severity }) => severity === 'problem' && check !== 'Connection')
}

/** Of findings that come worst first. Which server of a Cluster it is is the server's own word, and left out. */
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
