// What the CEL rules of the CRDs ask for, in TypeScript: for manifests that no API server has seen (`millhand up`) and for
// the messages of the operator. Each kind lists its rules beside its types; a test compares them with crds/*.yaml.
import type { Path, Problem } from './schema.ts'

export interface Rule<Spec> {
  /** Where in the CRD the rule stands. */
  at: Path
  /** The same words as in the CRD. */
  message: string
  /** The fields that break it; empty when it holds. `old` is what was applied before, for rules about changes. */
  broken: (spec: Spec, old: Spec | undefined) => Path[]
}

export function checkRules<Spec>(rules: readonly Rule<Spec>[], spec: Spec, old?: Spec): Problem[] {
  return rules.flatMap((rule) =>
    rule.broken(spec, old).map((path) => ({ path, message: rule.message, at: 'value' as const })),
  )
}

/** For a rule about one field: the field when it is broken. */
export function when(isBroken: boolean, path: Path): Path[] {
  return isBroken ? [path] : []
}
