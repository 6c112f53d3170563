// The schemas of the kinds, read from the CRDs that also go to the API server: in the repository from
// crds/, in the published package and the image from the copy beside dist/. Data that comes with the code:
// the only file that resources/ reads.
import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { withMetadata } from './metadata.ts'
import type { Schema } from './schema.ts'

export const KINDS = ['TaskQueue', 'WorkerPool', 'Schedule'] as const
export type Kind = (typeof KINDS)[number]
export const API_VERSION = 'millhand.dev/v1beta1'

const FOLDER = new URL(import.meta.url.endsWith('.ts') ? '../../../crds/' : '../../crds/', import.meta.url)

/** By which manifests are checked. */
export function loadSchemas(): Record<Kind, Schema> {
  return ofEach(loadCrds(), withMetadata)
}

/** As the API server has them. */
export function loadCrds(): Record<Kind, Schema> {
  return ofEach(FILES, loadCrd)
}

const FILES: Record<Kind, string> = {
  TaskQueue: 'taskqueue.yaml',
  WorkerPool: 'workerpool.yaml',
  Schedule: 'schedule.yaml',
}

function ofEach<From, To>(all: Record<Kind, From>, turn: (one: From) => To): Record<Kind, To> {
  return Object.fromEntries(KINDS.map((kind) => [kind, turn(all[kind])])) as Record<Kind, To>
}

interface Crd {
  spec: { versions: [{ schema: { openAPIV3Schema: Schema } }] }
}

function loadCrd(file: string): Schema {
  const crd = parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Crd
  return crd.spec.versions[0].schema.openAPIV3Schema
}
