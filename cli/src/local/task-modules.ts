// The task modules and the environment of a pool's container, for a process on this machine.
import { existsSync } from 'node:fs'
import { basename, isAbsolute, join, resolve } from 'node:path'
import type { Problem } from '@millhand/control/resources/schema'
import {
  type EnvironmentVariable,
  type WorkerPool,
  workerContainer,
} from '@millhand/control/resources/worker-pool'

const DEFAULT_MODULES = ['tasks.ts', 'tasks.js', 'tasks.mjs']

export interface TaskModules {
  modules: string[]
  problems: Problem[]
  warnings: string[]
}

/** The entry point of the base image is the worker: the arguments of the container are task modules. */
export function findTaskModules(pool: WorkerPool, folder: string): TaskModules {
  const container = workerContainer(pool)
  const index = pool.template.spec.containers.indexOf(container)
  const path = ['spec', 'template', 'spec', 'containers', index]
  const warnings = container.command
    ? [
        `WorkerPool ${pool.metadata.name}: command of the container is ignored here; its args are taken as task modules`,
      ]
    : []
  const given = (container.args ?? [])
    .map((arg, position) => ({ arg, at: [...path, 'args', position] }))
    .filter(isModule)
  if (given.length === 0) return { ...defaultModule(folder, path), warnings }
  const found = given.map(({ arg, at }) => ({
    arg,
    at,
    file: candidates(arg, folder).find((file) => existsSync(file)),
  }))
  const problems = found
    .filter(({ file }) => file === undefined)
    .map(({ arg, at }): Problem => {
      const tried = candidates(arg, folder).join(' nor ')
      return {
        path: at,
        at: 'value',
        message: `args: task module "${arg}" is not here: there is neither ${tried}`,
      }
    })
  return { modules: found.flatMap(({ file }) => file ?? []), problems, warnings }
}

/**
 * The variables of the pool's container. Values from Secrets and ConfigMaps come from `own`, the environment
 * of the caller, under the same name.
 */
export function variablesOf(
  pool: WorkerPool,
  own: Readonly<Record<string, string | undefined>>,
): { variables: Record<string, string>; warnings: string[] } {
  const { env = [], envFrom } = workerContainer(pool)
  const variables: Record<string, string> = {}
  const warnings: string[] = []
  for (const variable of env) {
    const value = variable.valueFrom ? own[variable.name] : (variable.value ?? '')
    if (value !== undefined) variables[variable.name] = value
    else if (!isOptional(variable)) warnings.push(unset(pool, variable.name))
  }
  if (envFrom !== undefined) {
    warnings.push(
      `WorkerPool ${pool.metadata.name}: envFrom is ignored here; set what the tasks need in your own environment`,
    )
  }
  return { variables, warnings }
}

function unset(pool: WorkerPool, variable: string): string {
  return `WorkerPool ${pool.metadata.name}: ${variable} comes from the cluster; set ${variable} in your own environment to give it a value here`
}

function defaultModule(folder: string, path: (string | number)[]): Omit<TaskModules, 'warnings'> {
  const file = DEFAULT_MODULES.map((name) => join(folder, name)).find((candidate) => existsSync(candidate))
  if (file) return { modules: [file], problems: [] }
  const message = `there is no task module for this pool: put ${DEFAULT_MODULES.join(' or ')} beside this manifest, or name one in the args of the container`
  return { modules: [], problems: [{ path, at: 'value', message }] }
}

/** An image may have /app/tasks.js where the folder of the manifest has tasks.ts. */
function candidates(arg: string, folder: string): string[] {
  const places = isAbsolute(arg) ? [arg, join(folder, basename(arg))] : [resolve(folder, arg)]
  return places.flatMap((place) => (/\.[mc]?js$/.test(place) ? [place, place.replace(/js$/, 'ts')] : [place]))
}

function isModule({ arg }: { arg: string }): boolean {
  return !arg.startsWith('-')
}

function isOptional({ valueFrom = {} }: EnvironmentVariable): boolean {
  return Object.values(valueFrom).some(
    (source) =>
      typeof source === 'object' && source !== null && 'optional' in source && source.optional === true,
  )
}
