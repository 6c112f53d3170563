// YAML documents that know the position of each field, so that a problem names line and column. Pure; used
// by manifests.ts.

import type { Path, Problem } from '@millhand/control/resources/schema'
import { type Document, isMap, isNode, isScalar, LineCounter, parseAllDocuments } from 'yaml'

export interface YamlDocument {
  value: unknown
  /** The position of a field, or of its nearest parent that exists. */
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
    // The library expands at most 100 aliases.
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
    // Too many aliases, or too many levels.
    return refused(file, `cannot be read as YAML: ${(error as Error).message}`)
  }
}

/** More than etcd takes for one resource. */
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
