// A rule of a platform team: what the API server lets nobody write in one namespace.

/** To delete what `denying` makes. */
export const POLICIES = 'validatingadmissionpolicy,validatingadmissionpolicybinding'

export interface Rule {
  /** What it is about, as in a ValidatingAdmissionPolicy. */
  matchConstraints: object
  validation: { expression: string; message: string }
}

export function denying(name: string, namespace: string, { matchConstraints, validation }: Rule): object[] {
  const apiVersion = 'admissionregistration.k8s.io/v1'
  return [
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name },
      spec: { failurePolicy: 'Fail', matchConstraints, validations: [validation] },
    },
    {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name },
      spec: {
        policyName: name,
        validationActions: ['Deny'],
        matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
      },
    },
  ]
}
