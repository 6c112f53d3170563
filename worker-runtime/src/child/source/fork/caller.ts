// Finds the calling code of the user in the stack. The zygote names it where it refuses Fork or warns
// (drawn.ts, exit-listeners.ts).
import { fileURLToPath } from 'node:url'
import { getCallSites } from 'node:util'

const FRAMES = 100
const OWN_PACKAGE = 'millhand'
const OWN_FOLDER = fileURLToPath(new URL('../../../..', import.meta.url))
const OWN_HOOKS = [
  'caller',
  'drawn',
  'exit-listeners',
  'randomness',
  'zygote-first',
  '../../inside/signals',
].map((name) => fileURLToPath(new URL(`./${name}.${import.meta.url.split('.').at(-1)}`, import.meta.url)))

export interface Caller {
  /** The name of a package, or the path of a file outside of packages. */
  module: string
  isPackage: boolean
  /** The line of the user's code that led to the call; where there is none, that of another package. */
  place: string
}

/** Undefined for code of Node or Millhand. */
export function callerOfHook(): Caller | undefined {
  const frames = getCallSites(FRAMES).flatMap(({ scriptName, lineNumber }) => {
    const file = fileOf(scriptName)
    return file === undefined || OWN_HOOKS.includes(file) ? [] : [{ file, line: lineNumber }]
  })
  const [first] = frames
  if (!first || first.file.startsWith(OWN_FOLDER)) return
  const module = moduleOf(first.file)
  if (module === OWN_PACKAGE) return
  const ofUser = frames.find((frame) => moduleOf(frame.file) === frame.file)
  const { file, line } = ofUser ?? frames.find((frame) => moduleOf(frame.file) !== module) ?? first
  return { module, isPackage: module !== first.file, place: `${file}:${line}` }
}

function fileOf(script: string): string | undefined {
  if (script.startsWith('file:')) return fileURLToPath(script)
  return script.startsWith('/') ? script : undefined
}

function moduleOf(file: string): string {
  const [, ...inPackages] = file.split('/node_modules/')
  const [scope = '', name = ''] = inPackages.at(-1)?.split('/') ?? []
  if (scope === '') return file
  return scope.startsWith('@') ? `${scope}/${name}` : scope
}
