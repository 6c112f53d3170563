// docs/conditions.md has a row for every reason, and for none else. What it tells Flux and Argo CD: health.test.ts.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { DECISION_REASONS, EVENT_REASONS, REASONS } from '../../control/src/resources/reasons.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(`${root}/docs/conditions.md`, 'utf8')

/** The cells that hold reasons. */
const inRows = [...page.matchAll(/^\| \w+ \| ([\w, …]+) \|/gm)]
  .flatMap(([, cell = '']) => cell.split(/, ?/))
  .filter((word) => /^[A-Z]\w+$/.test(word))

test('every reason has a row that says what it means and what to do, and no other word has', () => {
  const ofDecisions: readonly string[] = DECISION_REASONS
  const missing = REASONS.filter((reason) => !ofDecisions.includes(reason) && !inRows.includes(reason))
  expect(missing).toEqual([])
  const known: readonly string[] = REASONS
  expect(inRows.filter((reason) => reason !== 'reason' && !known.includes(reason))).toEqual([])
})

test('every reason of a decision and of an Event is told', () => {
  expect(DECISION_REASONS.filter((reason) => !new RegExp(`\\b${reason}\\b`).test(page))).toEqual([])
  expect(EVENT_REASONS.filter((reason) => !page.includes(`\`${reason}\``))).toEqual([])
})

test('every reason is given somewhere', () => {
  const sources = ['control/src', 'operator/src'].flatMap((folder) =>
    readdirSync(`${root}/${folder}`, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.endsWith('reasons.ts'))
      .map((name) => readFileSync(`${root}/${folder}/${name}`, 'utf8')),
  )
  const text = sources.join('\n')
  expect([...REASONS, ...EVENT_REASONS].filter((reason) => !text.includes(`'${reason}'`))).toEqual([])
})
