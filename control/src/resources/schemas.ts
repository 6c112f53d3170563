// The schemas of the two kinds, read from the CRDs that also go to the API server: in the repository from
// crds/, in the published package and the image from the copy beside dist/. Data that comes with the code:
// the only file that resources/ reads.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { withMetadata } from './metadata.ts'
import type { Schema } from './schema.ts'

export const KINDS = ['TaskQueue', 'WorkerPool'] as const
export type Kind = (typeof KINDS)[number]
export const API_VERSION = 'millhand.dev/v1beta1'

const FOLDER = new URL(import.meta.url.endsWith('.ts') ? '../../../crds/' : '../../crds/', import.meta.url)

/** By which manifests are checked. */
export function loadSchemas(): Record<Kind, Schema> {
  const crds = loadCrds()
  return { TaskQueue: withMetadata(crds.TaskQueue), WorkerPool: withMetadata(crds.WorkerPool) }
}

/** As the API server has them. */
export function loadCrds(): Record<Kind, Schema> {
  return { TaskQueue: loadCrd('taskqueue.yaml'), WorkerPool: loadCrd('workerpool.yaml') }
}

interface Crd {
  spec: { versions: [{ schema: { openAPIV3Schema: Schema } }] }
}

function loadCrd(file: string): Schema {
  const crd = parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Crd
  return crd.spec.versions[0].schema.openAPIV3Schema
}
