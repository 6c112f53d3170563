// npm run model: plays each load with Millhand and with KEDA in a simulated cluster, and prints and writes
// the results.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { sayFailure, UsageError } from '../usage.ts'
import { type Conditions, play } from './figures.ts'
import { type Load, loads } from './loads.ts'
import { writePictures } from './pictures.ts'
import { contestants } from './policies.ts'
import {
  assumptionsOf,
  decisionsOf,
  headOf,
  type Ran,
  type Report,
  reportOf,
  seedsOf,
  tableOf,
} from './report.ts'

const HELP = `npm run model -- [options]   plays Millhand's scaling beside KEDA's in a simulated cluster; needs none

  --quick            smaller loads, one seed; two seconds
  --only burst,long  these loads: ${loads.map(({ id }) => id).join(', ')}
  --seed N           the first seed; default 1
  --rounds N         so many seeds, one after the other; default 3, with --quick 1
  --pod-start N      seconds from a pod's turn to start until it is ready; default 2
  --json FILE        writes every figure of every seed
  --charts FOLDER    writes two SVG charts
`
const PODS_PER_SECOND = 100

try {
  await main()
} catch (error) {
  process.exitCode = sayFailure('model', error)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      only: { type: 'string' },
      seed: { type: 'string' },
      rounds: { type: 'string' },
      'pod-start': { type: 'string' },
      json: { type: 'string' },
      charts: { type: 'string' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return console.log(HELP)
  const isQuick = values.quick ?? false
  const chosen = chooseLoads(values.only?.split(','))
  const firstSeed = wholeNumber('--seed', values.seed, 1)
  const rounds = wholeNumber('--rounds', values.rounds, isQuick ? 1 : 3)
  const podStartMs = wholeNumber('--pod-start', values['pod-start'], 2) * 1000
  const conditions: Conditions = { isQuick, podStartMs, podsPerSecond: PODS_PER_SECOND }
  const report: Report = {
    command: `npm run model -- ${process.argv.slice(2).join(' ')}`.trim(),
    firstSeed,
    rounds,
    conditions,
    assumptions: assumptionsOf(conditions),
    loads: [],
  }
  console.log(headOf(report))
  const played: { load: Load; ran: Ran[] }[] = []
  for (const load of chosen) {
    const ran = load.policies.flatMap((name): Ran[] => {
      const contestant = contestants.find((each) => each.name === name)
      if (!contestant) return []
      return [{ contestant, rounds: seedsOf(report).map((seed) => play(load, contestant, conditions, seed)) }]
    })
    const table = reportOf(load, ran)
    played.push({ load, ran })
    report.loads.push(table)
    console.log(tableOf(table))
  }
  console.log(decisionsOf(played))
  if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  if (values.charts) await writePictures(values.charts, played)
}

function chooseLoads(ids: string[] | undefined): readonly Load[] {
  if (!ids) return loads
  return ids.map((id) => {
    const found = loads.find((load) => load.id === id)
    if (!found)
      throw new UsageError(`there is no load ${id}; there are ${loads.map((each) => each.id).join(', ')}`)
    return found
  })
}

function wholeNumber(option: string, text: string | undefined, usual: number): number {
  const number = Number(text ?? usual)
  if (Number.isInteger(number) && number > 0) return number
  throw new UsageError(`invalid ${option} ${text}: use a whole number of at least 1`)
}
