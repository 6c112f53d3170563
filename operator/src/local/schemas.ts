// The schemas of the two kinds, read from the CRDs that also go to the API server: in the repository from crds/, in the published
// package from the copy beside dist/.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { withMetadata } from '../resources/metadata.ts'
import type { Schema } from '../resources/schema.ts'

export const KINDS = ['TaskQueue', 'WorkerPool'] as const
export type Kind = (typeof KINDS)[number]
export const API_VERSION = 'millhand.dev/v1alpha1'

const FOLDER = new URL(import.meta.url.endsWith('.ts') ? '../../../crds/' : '../../crds/', import.meta.url)

export function loadSchemas(): Record<Kind, Schema> {
  return { TaskQueue: loadSchema('taskqueue.yaml'), WorkerPool: loadSchema('workerpool.yaml') }
}

interface Crd {
  spec: { versions: [{ schema: { openAPIV3Schema: Schema } }] }
}

function loadSchema(file: string): Schema {
  const crd = parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Crd
  return withMetadata(crd.spec.versions[0].schema.openAPIV3Schema)
}
