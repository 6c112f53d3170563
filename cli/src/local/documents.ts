// YAML text as documents that remember where each field stands, so that every complaint can point into the file. Pure; used by manifests.ts.

import type { Path, Problem } from '@millhand/control/resources/schema'
import { type Document, isMap, isNode, isScalar, LineCounter, parseAllDocuments } from 'yaml'

export interface YamlDocument {
  value: unknown
  /** Where a field stands, or the nearest thing around it that is there. */
  placeOf: (problem: Pick<Problem, 'path' | 'at'>) => Place
}

export interface Place {
  file: string
  line: number
  column: number
}

export interface PlacedProblem extends Place {
  message: string
}

export function parseYaml(
  file: string,
  text: string,
): { documents: YamlDocument[]; problems: PlacedProblem[] } {
  if (text.length > MOST_CHARACTERS)
    return refused(file, `has ${text.length} characters; a manifest may have ${MOST_CHARACTERS}`)
  const lines = new LineCounter()
  const placeAt = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { file, line, column: col }
  }
  try {
    // Aliases are expanded within the bound of the library, 100 in all.
    const parsed = [parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })].flat()
    const problems = parsed.flatMap((document) =>
      document.errors.map((error) => ({
        ...placeAt(error.pos[0]),
        message: `not valid YAML: ${error.message}`,
      })),
    )
    const documents = parsed
      .filter((document) => document.errors.length === 0)
      .map((document) => ({
        value: document.toJS(),
        placeOf: ({ path, at }: Pick<Problem, 'path' | 'at'>) => placeAt(offsetOf(document, path, at)),
      }))
      .filter(({ value }) => value !== null)
    return { documents, problems }
  } catch (error) {
    // Too many aliases, or nested too deeply.
    return refused(file, `cannot be read as YAML: ${(error as Error).message}`)
  }
}

/** As much as etcd would take of one resource, and more. */
const MOST_CHARACTERS = 2_000_000

function refused(file: string, message: string): ReturnType<typeof parseYaml> {
  return { documents: [], problems: [{ file, line: 0, column: 0, message }] }
}

function offsetOf(document: Document, path: Path, at: Problem['at']): number {
  if (at === 'name') {
    const key = keyOf(document, path)
    if (key !== undefined) return key
  }
  const node = document.getIn(path, true)
  if (isNode(node) && node.range) return node.range[0]
  if (path.length > 0) return offsetOf(document, path.slice(0, -1), 'value')
  return document.contents?.range?.[0] ?? 0
}

function keyOf(document: Document, path: Path): number | undefined {
  const parent = path.length > 1 ? document.getIn(path.slice(0, -1), true) : document.contents
  if (!isMap(parent)) return undefined
  const key = parent.items.map((pair) => pair.key).find((key) => isScalar(key) && key.value === path.at(-1))
  return isScalar(key) ? key.range?.[0] : undefined
}
