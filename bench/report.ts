// The results: a table for each scenario with its verdicts, and one JSON document. Called by run.ts.
import type { Machine } from './machine.ts'
import { type Contender, type Ran, resultsOf, spreadOf } from './runner.ts'
import { type Criterion, type Figure, labelOf, numberText, type Spread } from './scenario.ts'

export interface Report {
  startedAt: string
  command: string
  machine: Machine
  versions: Record<string, string>
  unavailable: Record<string, string>
  scenarios: ScenarioReport[]
}

interface ScenarioReport {
  id: string
  title: string
  about: string
  figures: readonly Figure[]
  rows: Row[]
  criteria: Criterion[]
}

interface Row {
  peer: string
  variant: string
  title: string
  delivery: string
  remark: string
  notes: string[]
  figures: Record<string, Spread>
  rounds: { figures: Record<string, number>; problems: string[] }[]
  /** It stood still, and plays no further round. */
  stoodStill?: string
  /** The ratio of the main figure to the first row's, round by round. */
  toFirst?: Spread
}

export function reportOf({ scenario, contenders, criteria }: Ran): ScenarioReport {
  const { id, title, about, figures } = scenario
  const first = contenders[0]
  const results = resultsOf(contenders)
  const rows = contenders.map((contender): Row => {
    const { peer, variant, notes, rounds } = contender
    const main = figures[0]?.name ?? ''
    const toFirst = first && results.ratio(peer.name, first.peer.name, main, [variant, first.variant])
    return {
      peer: peer.name,
      variant,
      title: labelOf(scenario.isOfProducers ? (peer.title.split(',')[0] ?? '') : peer.title, variant),
      delivery: peer.delivery,
      remark: peer.remark,
      notes: [...notes, ...(peer.unsettled ? [] : ['starts are counted, not settlements'])],
      figures: figuresOf(contender, figures),
      rounds,
      ...stillnessOf(contender),
      ...(toFirst && { toFirst }),
    }
  })
  return { id, title, about, figures, rows, criteria }
}

function stillnessOf({ stoodStillIn, rounds, rehearsal }: Contender): { stoodStill?: string } {
  if (stoodStillIn === undefined) return {}
  const { problems = [] } = (stoodStillIn === 0 ? rehearsal : rounds.at(-1)) ?? {}
  return { stoodStill: `${stoodStillIn === 0 ? 'warm-up' : `round ${stoodStillIn}`}: ${problems.at(-1)}` }
}

function figuresOf(contender: Contender, figures: readonly Figure[]): Record<string, Spread> {
  const found: Record<string, Spread> = {}
  for (const { name } of figures) {
    const spread = spreadOf(contender, name)
    if (spread) found[name] = spread
  }
  return found
}

export function tableOf({ id, title, about, figures, rows, criteria }: ScenarioReport): string {
  const shown = figures.filter(({ name }) => rows.some((row) => row.figures[name]))
  const head = [
    '',
    ...shown.map((figure, i) => (i === 0 ? `${figure.title} (min–max)` : figure.title)),
    'to first',
    'exact',
  ]
  const lines = rows.map((row) => {
    const cells = shown.map(({ name }, i) => cellOf(row.figures[name], i === 0))
    const exact = row.rounds.filter(({ problems }) => problems.length === 0).length
    return [
      row.title,
      ...cells,
      row.toFirst ? `×${numberText(row.toFirst.median)}` : '–',
      row.stoodStill === undefined ? `${exact}/${row.rounds.length}` : 'stood still',
    ]
  })
  return [
    `## ${id} ${title}\n\n${about}\n`,
    ...aligned([head, ...lines]),
    '',
    ...rows.flatMap(failuresOf),
    ...criteria.map(({ text, measured, held }) => `- ${verdict(held)} ${text}; measured: ${measured}`),
    '',
  ].join('\n')
}

const verdict = (held: boolean | undefined) => (held === undefined ? '[?]' : held ? '[held]' : '[NOT HELD]')

function cellOf(spread: Spread | undefined, isMain: boolean): string {
  if (!spread) return '–'
  const range = ` (${numberText(spread.min)}–${numberText(spread.max)})`
  return numberText(spread.median) + (isMain ? range : '')
}

function failuresOf({ title, rounds, notes, stoodStill }: Row): string[] {
  const failures = rounds.flatMap(({ problems }, i) =>
    problems.map((problem) => `- FAILED ${title}, round ${i + 1}: ${lastWordsOf(problem)}`),
  )
  const left = stoodStill === undefined ? [] : [`- LEFT OUT ${title}, from its ${lastWordsOf(stoodStill)}`]
  return [...failures, ...left, ...notes.map((note) => `- note: ${title}: ${note}`)]
}

const lastWordsOf = (problem: string): string => problem.split('\n').slice(-3).join(' | ')

function aligned(rows: string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(3, ...rows.map((row) => row[column]?.length ?? 0)),
  )
  const lineOf = (cells: string[]) =>
    `| ${cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join(' | ')} |`
  const rule = `|${widths.map((width, i) => (i === 0 ? '-'.repeat(width + 2) : `${'-'.repeat(width + 1)}:`)).join('|')}|`
  const [head = [], ...body] = rows
  return [lineOf(head), rule, ...body.map(lineOf)]
}

/** The text above and below the tables. */
export function surroundings({ machine, versions, unavailable, scenarios }: Report): {
  above: string
  below: string
} {
  const { cpu, cores, memoryGiB, kernel, node, redis } = machine
  const remarks = new Map(scenarios.flatMap(({ rows }) => rows.map((row) => [row.peer, row] as const)))
  const said = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return {
    above: [
      `# Millhand and its peers\n`,
      `Machine: ${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}; Node ${node}, Redis ${redis}`,
      `Versions: ${said.join('; ')}`,
      ...Object.entries(unavailable).map(([peer, why]) => `Left out: ${peer}: ${why}`),
      '',
      'Medians over the rounds; machines are noisy, so compare rows, not runs.\n',
    ].join('\n'),
    below: [
      '## What to know before comparing\n',
      ...[...remarks.values()].map(
        ({ peer, delivery, remark }) => `- ${peer}: a job of a killed worker runs ${delivery}; ${remark}`,
      ),
      '',
    ].join('\n'),
  }
}
