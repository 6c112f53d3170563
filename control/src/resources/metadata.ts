// The part of metadata that the kinds use, and its schema for manifests. In a CRD only the name may have
// bounds.
import type { Schema } from './schema.ts'

export interface Metadata {
  name: string
  namespace: string
  /** Absent in a manifest that no API server has seen. */
  uid?: string
}

/** What a manifest may say of itself, as far as Millhand looks at it. */
export interface MetadataManifest {
  name: string
  namespace?: string
  uid?: string
}

/** What the API server adds to it. */
export interface ObjectMetadata extends MetadataManifest {
  generation?: number
  resourceVersion?: string
  labels?: Record<string, string>
  annotations?: Record<string, string>
  creationTimestamp?: string
  deletionTimestamp?: string
  deletionGracePeriodSeconds?: number
  ownerReferences?: OwnerReference[]
}

export interface OwnerReference {
  apiVersion: string
  kind: string
  name: string
  uid: string
  controller?: boolean
  blockOwnerDeletion?: boolean
}

export function parseMetadata(
  { name, namespace, uid }: MetadataManifest,
  defaultNamespace: string,
): Metadata {
  return { name, namespace: namespace ?? defaultNamespace, ...(uid !== undefined && { uid }) }
}

/**
 * The schema of a CRD as a person meets it: with the standard fields of metadata, of which the name is
 * required.
 */
export function withMetadata(schema: Schema): Schema {
  const { name = {} } = schema.properties?.metadata?.properties ?? {}
  const metadata: Schema = { type: 'object', required: ['name'], properties: { name, ...STANDARD } }
  const status: Schema = { 'x-kubernetes-preserve-unknown-fields': true }
  return {
    ...schema,
    required: [...new Set([...(schema.required ?? []), 'metadata'])],
    properties: { ...schema.properties, metadata, status },
  }
}

const TEXTS: Schema = { type: 'object', additionalProperties: { type: 'string' } }
const LABELS: Schema = {
  type: 'object',
  additionalProperties: {
    type: 'string',
    maxLength: 63,
    pattern: '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$',
  },
}
const OPEN: Schema = { 'x-kubernetes-preserve-unknown-fields': true }
const STANDARD: Record<string, Schema> = {
  namespace: { type: 'string', maxLength: 63, pattern: '^[a-z0-9]([-a-z0-9]*[a-z0-9])?$' },
  labels: LABELS,
  annotations: TEXTS,
  uid: { type: 'string' },
  finalizers: OPEN,
  ownerReferences: OPEN,
  managedFields: OPEN,
  generateName: { type: 'string' },
  generation: { type: 'integer' },
  resourceVersion: { type: 'string' },
  creationTimestamp: OPEN,
  deletionTimestamp: OPEN,
  deletionGracePeriodSeconds: OPEN,
  selfLink: { type: 'string' },
}
