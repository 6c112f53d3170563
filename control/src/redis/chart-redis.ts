// The embedded Redis of the chart: its remedies name values of the chart, because settings of the server are
// lost with its pod. Pure.
import type { Check, ServerFinding } from 'millhand/doctor'

const REMEDIES: Partial<Record<Check, string>> = {
  Persistence:
    'for a try that is as it should be; else give the queue a Redis of its own, or install the chart with redis.embedded.persistence.enabled=true (the StatefulSet of a release that is there has to be deleted before its upgrade)',
  Memory: 'raise redis.embedded.maxMemory of the chart, and redis.embedded.resources.limits.memory with it',
  Fragmentation: 'restart its pod, or raise redis.embedded.maxMemory of the chart',
  Eviction: 'helm upgrade sets maxmemory-policy back to noeviction when the pod starts again: delete the pod',
  Version: 'choose another redis.embedded.image.tag of the chart',
}

export function ofTheChart(findings: readonly ServerFinding[]): readonly ServerFinding[] {
  return findings.map((finding) => {
    const remedy = REMEDIES[finding.check]
    return remedy && finding.severity !== 'note' ? { ...finding, remedy } : finding
  })
}
