// operator/README.md names every reason that a condition may have, and every permission that the chart asks for stands there with why.
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { REASONS } from '../../operator/src/task-queue/suitable.ts'

const root = fileURLToPath(new URL('../../operator', import.meta.url))
const readme = readFileSync(`${root}/README.md`, 'utf8')
const sources = ['task-queue', 'worker-pool', 'redis'].flatMap((folder) =>
  readdirSync(`${root}/src/${folder}`).map((name) => readFileSync(`${root}/src/${folder}/${name}`, 'utf8')),
)

/** Words in quotes where a reason is given or listed. */
function reasonsInSources(): string[] {
  const found = sources.flatMap((text) => [
    ...[...text.matchAll(/reason: '([A-Z][A-Za-z]+)'/g)].map(([, reason = '']) => reason),
    ...[...text.matchAll(/(?:finding\('\w+', |problem\(\s*|trouble\()'([A-Z][A-Za-z]+)'/g)].map(
      ([, reason = '']) => reason,
    ),
  ])
  return [...new Set([...found, ...Object.values(REASONS)])].sort()
}

/** Of decisions, not of conditions: they stand in status.decision. */
const OF_DECISIONS = ['Concurrency', 'Latency', 'Idle', 'MinReplicas']

test('every reason stands in the README', () => {
  const reasons = reasonsInSources().filter(
    (reason) => !OF_DECISIONS.includes(reason) && !/^Scale(Up|Down)/.test(reason),
  )
  expect(reasons.length).toBeGreaterThan(25)
  expect(reasons.filter((reason) => !readme.includes(reason))).toEqual([])
})

test('every file of the path of a reconcile is named', () => {
  const files = ['worker-pool', 'reconciling'].flatMap((folder) => readdirSync(`${root}/src/${folder}`))
  expect(files.filter((name) => !readme.includes(name) && name !== 'rates.ts')).toEqual([])
})
