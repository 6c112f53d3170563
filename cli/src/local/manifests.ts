// Reads the manifests of `millhand up`: TaskQueues, WorkerPools and Schedules in files and folders. It checks
// them as the API server does, and reports all problems at once, with file, line and column.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { brokenRules } from '@millhand/control/resources/cel'
import { parseSchedule, type ScheduleManifest } from '@millhand/control/resources/schedule'
import { checkAgainstSchema, isObject, type Problem, type Schema } from '@millhand/control/resources/schema'
import { API_VERSION, KINDS, type Kind, loadSchemas } from '@millhand/control/resources/schemas'
import {
  defaultQueueName,
  parseTaskQueue,
  type TaskQueue,
  type TaskQueueManifest,
  type TaskQueueObject,
} from '@millhand/control/resources/task-queue'
import {
  parseWorkerPool,
  type WorkerPool,
  type WorkerPoolManifest,
} from '@millhand/control/resources/worker-pool'
import { checkSchedule, nearest } from 'millhand/queue'
import { type PlacedProblem, parseYaml, type YamlDocument } from './documents.ts'
import { findTaskModules } from './task-modules.ts'

export interface Manifests {
  queues: TaskQueue[]
  pools: LocalPool[]
  /** Warnings: no reason to refuse. */
  warnings: string[]
  /** The files that were read: for reload.ts. */
  files: string[]
  /** The resources that were read: the next reading may not change their immutable fields. */
  resources: readonly Declared[]
  /** By key: queues that a pool serves and no manifest declares. */
  undeclared: ReadonlyMap<string, TaskQueueObject>
}

/** A resource with all defaults; its key is `namespace/name`. */
export interface Declared {
  kind: Kind
  key: string
  manifest: TaskQueueManifest | WorkerPoolManifest | ScheduleManifest
}

export interface LocalPool {
  pool: WorkerPool
  /** The names in Redis of its queues, in the order of the spec. */
  queueNames: string[]
  /** Absolute paths. */
  taskModules: string[]
}

export interface ManifestOptions {
  /** The namespace of resources without one. */
  namespace: string
  /** The folder of relative paths. */
  workingFolder: string
  previous?: Manifests
}

/** The manifests are invalid; `problems` says why, each with its position. */
export class ManifestsRefused extends Error {
  readonly problems: readonly PlacedProblem[]
  constructor(problems: readonly PlacedProblem[]) {
    super(problems.map(describeProblem).join('\n'))
    this.name = 'ManifestsRefused'
    this.problems = problems
  }
}

export function describeProblem({ file, line, column, message }: PlacedProblem): string {
  return line > 0 ? `${file}:${line}:${column}: ${message}` : `${file}: ${message}`
}

export function readManifests(paths: readonly string[], options: ManifestOptions): Manifests {
  const reading = startReading(options)
  for (const path of paths) for (const file of filesOf(path, reading)) readFile(file, reading)
  const poolsRead = reading.resources.filter((resource) => resource.kind === 'WorkerPool')
  if (poolsRead.length === 0 && reading.problems.length === 0) {
    reading.problems.push({ ...wholeFile(paths.join(', ')), message: noPool(reading) })
  }
  const manifests = assemble(reading)
  if (reading.problems.length > 0) throw new ManifestsRefused(reading.problems)
  return manifests
}

interface Reading {
  options: ManifestOptions
  schemas: Record<Kind, Schema>
  resources: Resource[]
  problems: PlacedProblem[]
  warnings: string[]
  files: string[]
}

interface Resource extends Declared {
  file: string
  document: YamlDocument
}

function startReading(options: ManifestOptions): Reading {
  return { options, schemas: loadSchemas(), resources: [], problems: [], warnings: [], files: [] }
}

/** A folder stands for the manifests in it, without those of its subfolders, as with kubectl. */
function filesOf(path: string, { problems, options }: Reading): string[] {
  const place = resolve(options.workingFolder, path)
  const found = statSync(place, { throwIfNoEntry: false })
  if (!found) {
    problems.push({ ...wholeFile(path), message: 'there is no such file or folder' })
    return []
  }
  if (!found.isDirectory()) return [path]
  const files = readdirSync(place).filter((name) => /\.ya?ml$/.test(name))
  if (files.length === 0)
    problems.push({ ...wholeFile(path), message: 'there is no .yaml or .yml file in this folder' })
  return files.sort().map((name) => join(path, name))
}

function readFile(file: string, reading: Reading): void {
  const place = resolve(reading.options.workingFolder, file)
  reading.files.push(place)
  const { documents, problems } = parseYaml(file, readFileSync(place, 'utf8'))
  reading.problems.push(...problems)
  for (const document of documents) readDocument(file, document, reading)
}

function readDocument(file: string, document: YamlDocument, reading: Reading): void {
  const kind = kindOf(file, document, reading)
  if (!kind) return
  const { value, problems } = checkAgainstSchema(document.value, reading.schemas[kind])
  if (problems.length > 0) {
    refuse(problems, document, reading)
    return
  }

  // The schema has been checked. A test compares the interfaces with the schema.
  const manifest = value as Declared['manifest']
  const key = `${manifest.metadata.namespace ?? reading.options.namespace}/${manifest.metadata.name}`
  const isIt = (resource: Declared) => resource.kind === kind && resource.key === key
  const old = reading.options.previous?.resources.find(isIt)?.manifest
  refuse(brokenRules(reading.schemas[kind], manifest, old), document, reading)
  const earlier = reading.resources.find(isIt)
  if (earlier) {
    const path = ['metadata', 'name']
    const there = describeProblem({
      ...earlier.document.placeOf({ path, at: 'value' }),
      message: '',
    }).replace(/: $/, '')
    const message = `there is a ${kind} ${key} already, at ${there}; give one of them another name`
    refuse([{ path, at: 'value', message }], document, reading)
    return
  }
  reading.resources.push({ kind, key, file, document, manifest })
}

/** Undefined for other kinds. A mistyped kind or version of Millhand is a problem. */
function kindOf(file: string, document: YamlDocument, reading: Reading): Kind | undefined {
  const fields = isObject(document.value) ? document.value : {}
  const { apiVersion, kind } = fields
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') {
    const { line } = document.placeOf({ path: [], at: 'value' })
    if (looksLikeOurs(fields))
      refuse([{ path: [], at: 'value', message: missingText(fields) }], document, reading)
    else
      reading.warnings.push(
        `${file}:${line}: passed over: not a Kubernetes resource (it needs apiVersion and kind)`,
      )
    return undefined
  }
  const ours = KINDS.find((name) => name === kind)
  if (ours && apiVersion === API_VERSION) return ours
  if (ours || apiVersion.startsWith('millhand.dev/')) {
    refuse(wrongKind(apiVersion, kind), document, reading)
    return undefined
  }
  const { line } = document.placeOf({ path: ['kind'], at: 'value' })
  reading.warnings.push(`${file}:${line}: passed over: ${kind} is for a cluster only`)
  return undefined
}

function looksLikeOurs({ apiVersion, kind, metadata, spec }: Record<string, unknown>): boolean {
  const isOurs = String(apiVersion).startsWith('millhand.dev/') || nearest(String(kind), KINDS) !== undefined
  return isOurs || (isObject(metadata) && isObject(spec))
}

function missingText({ apiVersion, kind }: Record<string, unknown>): string {
  const wanted = { apiVersion: `apiVersion: ${API_VERSION}`, kind: `kind: ${KINDS.join(' or kind: ')}` }
  const missing = [
    ...(typeof apiVersion === 'string' ? [] : (['apiVersion'] as const)),
    ...(typeof kind === 'string' ? [] : (['kind'] as const)),
  ]
  const are = missing.length === 1 ? 'is' : 'are'
  return `${missing.join(' and ')} ${are} missing; add ${missing.map((name) => wanted[name]).join(' and ')}`
}

function wrongKind(apiVersion: string, kind: string): Problem[] {
  if (apiVersion !== API_VERSION) {
    const message = `apiVersion is "${apiVersion}"; for a ${kind} this Millhand knows ${API_VERSION}`
    return [{ path: ['apiVersion'], at: 'value', message }]
  }
  const near = nearest(kind, KINDS)
  const message = `kind is "${kind}"; it must be one of ${KINDS.join(', ')}${near ? `; did you mean ${near}?` : ''}`
  return [{ path: ['kind'], at: 'value', message }]
}

function assemble(reading: Reading): Manifests {
  const { resources, warnings, files, options } = reading
  const queues = resources
    .filter(({ kind }) => kind === 'TaskQueue')
    .map((resource) => localQueue(resource, reading))
  const pools = resources
    .filter(({ kind }) => kind === 'WorkerPool')
    .map((resource) => localPool(resource, queues, reading))
  for (const resource of resources) if (resource.kind === 'Schedule') checkTimes(resource, reading)
  warnings.push(...otherNamespaces(pools, options))
  return { queues, pools, warnings, files, resources, undeclared: undeclaredQueues(pools, reading) }
}

function localQueue({ manifest, document }: Resource, reading: Reading): TaskQueue {
  const queue = parseTaskQueue(manifest as TaskQueueManifest, reading.options.namespace)
  const prefix = `${queue.metadata.namespace}.`
  if (!queue.queueName.startsWith(prefix)) {
    const message = `spec.queueName is "${queue.queueName}"; without a cluster it must begin with "${prefix}", or be left out`
    refuse([{ path: ['spec', 'queueName'], at: 'value', message }], document, reading)
  }
  return queue
}

function localPool({ manifest, file, document }: Resource, queues: TaskQueue[], reading: Reading): LocalPool {
  const pool = parseWorkerPool(manifest as WorkerPoolManifest, reading.options.namespace)
  const { namespace, name } = pool.metadata
  const queueNames = pool.queues.map((served) => {
    const declared = queues.find(
      ({ metadata }) => metadata.namespace === namespace && metadata.name === served.name,
    )
    if (declared) return declared.queueName
    reading.warnings.push(
      `WorkerPool ${name}: there is no TaskQueue ${served.name} in these manifests; it runs with the defaults`,
    )
    return defaultQueueName(namespace, served.name)
  })
  const { modules, problems, warnings } = findTaskModules(
    pool,
    resolve(reading.options.workingFolder, dirname(file)),
  )
  refuse(problems, document, reading)
  reading.warnings.push(...warnings)
  return { pool, queueNames, taskModules: modules }
}

/** Checks that no schema can do: whether the time zone and the day exist. */
function checkTimes({ manifest, document }: Resource, reading: Reading): void {
  const { metadata, spec } = parseSchedule(manifest as ScheduleManifest, reading.options.namespace)
  try {
    checkSchedule(metadata.name, spec)
  } catch (error) {
    refuse([{ path: ['spec'], at: 'value', message: `spec: ${(error as Error).message}` }], document, reading)
  }
}

/** Queues with the default settings, whose owner is elsewhere or nobody. */
function undeclaredQueues(
  pools: readonly LocalPool[],
  { resources, schemas }: Reading,
): Manifests['undeclared'] {
  const declared = new Set(resources.flatMap(({ kind, key }) => (kind === 'TaskQueue' ? [key] : [])))
  const served = pools.flatMap(({ pool: { queues, metadata } }) =>
    queues.map(({ name }) => ({ namespace: metadata.namespace, name })),
  )
  return new Map(
    served.flatMap(({ namespace, name }) => {
      const key = `${namespace}/${name}`
      if (declared.has(key)) return []
      const { value } = checkAgainstSchema({ metadata: { name, namespace }, spec: {} }, schemas.TaskQueue)
      const status = { observedGeneration: 0, queueName: defaultQueueName(namespace, name), conditions: [] }
      return [[key, { ...(value as TaskQueueManifest), status }]]
    }),
  )
}

/** A program that enqueues must name the namespace too; a namespace in a manifest is easily missed. */
function otherNamespaces(pools: LocalPool[], { namespace }: ManifestOptions): string[] {
  const others = new Set(
    pools.map(({ pool }) => pool.metadata.namespace).filter((used) => used !== namespace),
  )
  return [...others].map(
    (used) =>
      `these manifests use namespace ${used}; clients must name it too: here the default is ${namespace}`,
  )
}

function refuse(problems: readonly Problem[], document: YamlDocument, reading: Reading): void {
  for (const problem of problems) {
    reading.problems.push({ ...document.placeOf(problem), message: problem.message })
  }
}

function noPool({ resources, warnings }: Reading): string {
  const queues = resources.filter(({ kind }) => kind === 'TaskQueue').length
  const found =
    queues === 0 ? 'nothing of Millhand' : `${queues} TaskQueue${queues === 1 ? '' : 's'}, but no WorkerPool`
  const passedOver = warnings.map((warning) => `\n${warning}`).join('')
  return `there is ${found} here; add a WorkerPool (apiVersion: ${API_VERSION}) that says which queues to serve${passedOver}`
}

function wholeFile(file: string): PlacedProblem {
  return { file, line: 0, column: 0, message: '' }
}
