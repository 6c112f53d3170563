// npm run bench: reads the command line, installs peers, runs the scenarios one after the other, and prints
// and writes the results.
import { mkdirSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writeCharts } from './charts.ts'
import { describeMachine } from './machine.ts'
import type { Peer } from './peer.ts'
import { peers } from './peers/index.ts'
import { stopEverything, stopWhenInterrupted } from './processes.ts'
import { type Report, reportOf, surroundings, tableOf } from './report.ts'
import { type Contender, contendersOf, type Plan, roundsOf, runScenario } from './runner.ts'
import type { Extent, Scenario } from './scenario.ts'
import { scenarios } from './scenarios/index.ts'
import { sayFailure, UsageError } from './usage.ts'

const HELP = `npm run bench -- [options]   measures Millhand beside its peers on this machine

  --quick            four scenarios, four peers, three short rounds; about three minutes
  --full             the long forms: more jobs, 200 kills, five idle minutes
  --only B1,B6       these scenarios
  --peers NAME,...   these peers: a product (bullmq), or one way to run it (bullmq-sandboxed)
  --rounds N         rounds that count; default 5, with --quick 3
  --json FILE        writes everything that was measured
  --charts FOLDER    writes an SVG chart a scenario
  --list             lists scenarios and peers
`
/** Four rows a scenario. */
const QUICK = {
  only: ['B1', 'B3', 'B6', 'B7'],
  peers: [
    'millhand-fork',
    'millhand-reuse',
    'bullmq',
    'asynq',
    'rq',
    'rq-simple',
    'rq-pool',
    'child-process-fork',
  ],
}

try {
  await main()
} catch (error) {
  const exitCode = sayFailure('bench', error)
  await stopEverything()
  process.exit(exitCode)
}
process.exit(0)

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: 'boolean' },
      full: { type: 'boolean' },
      only: { type: 'string' },
      peers: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' },
      charts: { type: 'string' },
      list: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) return console.log(HELP)
  if (values.list) return console.log(listed())
  const extent: Extent = values.quick ? 'quick' : values.full ? 'full' : 'normal'
  const isQuick = extent === 'quick'
  const chosen = chooseScenarios(values.only?.split(',') ?? (isQuick ? QUICK.only : undefined))
  const names = values.peers?.split(',')
  for (const name of names ?? []) checkPeer(name)
  const rounds = roundsFrom(values.rounds) ?? (isQuick ? 3 : 5)

  const report: Report = {
    startedAt: new Date().toISOString(),
    command: `npm run bench -- ${process.argv.slice(2).join(' ')}`.trim(),
    machine: describeMachine(),
    versions: {},
    unavailable: {},
    scenarios: [],
  }
  const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'millhand/bench')
  mkdirSync(cache, { recursive: true })
  const lineups = chosen.map((scenario) => {
    const usual = isQuick ? scenario.peers.filter((name) => QUICK.peers.includes(name)) : scenario.peers
    return { scenario, peers: names ? lineupOf(scenario, chosen, names) : usual.flatMap(peerNamed) }
  })
  await install(new Set(lineups.flatMap((lineup) => lineup.peers)), cache, report)
  // It makes each start of Node slower, and only some peers run on Node.
  delete process.env.NODE_EXTRA_CA_CERTS

  const races = lineups.map(({ scenario, peers: some }) => ({
    scenario,
    contenders: contendersOf(
      scenario,
      some.filter(({ name }) => !(name in report.unavailable)),
      extent,
    ),
  }))
  let isInterrupted = false
  stopWhenInterrupted(() => {
    isInterrupted = true
    say('stopping what was started')
  })
  const isStopping = () => isInterrupted
  const plan: Plan = { cache, extent, rounds, isStopping, onRound: progressOf(races, rounds) }
  console.log(surroundings(report).above)
  for (const { scenario, contenders } of races) {
    if (isStopping() || contenders.length === 0) continue
    const ran = reportOf(await runScenario(scenario, contenders, plan))
    report.scenarios.push(ran)
    if (isStopping()) continue
    console.log(tableOf(ran))
    if (values.json) writeFileSync(values.json, `${JSON.stringify(report, null, 2)}\n`)
  }
  if (isStopping()) return new Promise(() => {})
  console.log(surroundings(report).below)
  if (values.charts) await writeCharts(values.charts, report)
}

function chooseScenarios(ids: string[] | undefined): Scenario[] {
  if (!ids) return scenarios
  return ids.map((id) => {
    const found = scenarios.find((scenario) => scenario.id === id.toUpperCase())
    if (!found)
      throw new UsageError(`unknown scenario ${id}; known are ${scenarios.map((each) => each.id).join(', ')}`)
    return found
  })
}

function isOf(family: string): (name: string) => boolean {
  return (name) => name === family || name.startsWith(`${family}-`)
}

function checkPeer(name: string): void {
  if (!peers.some((peer) => isOf(name)(peer.name)))
    throw new UsageError(`unknown peer ${name}; known are ${peers.map((peer) => peer.name).join(', ')}`)
}

/** The named peers of the scenario. A named peer that no chosen scenario has takes part in all of them. */
function lineupOf(scenario: Scenario, chosen: Scenario[], names: string[]): Peer[] {
  const isUsual = (name: string) => chosen.some((each) => each.peers.some(isOf(name)))
  const usual = scenario.peers.filter((peer) => names.some((name) => isOf(name)(peer)))
  return [...usual, ...names.filter((name) => !isUsual(name))].flatMap(peerNamed)
}

function peerNamed(name: string): Peer[] {
  return peers.filter((peer) => peer.name === name)
}

function roundsFrom(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const rounds = Number(text)
  if (Number.isInteger(rounds) && rounds > 0) return rounds
  throw new UsageError(`invalid --rounds ${text}: it is a whole number of at least 1`)
}

/** A peer that cannot be installed is left out, and the report says why. */
async function install(some: Set<Peer>, cache: string, report: Report): Promise<void> {
  for (const peer of some) {
    say(`installing ${peer.name}`)
    try {
      Object.assign(report.versions, await peer.install(cache))
    } catch (error) {
      report.unavailable[peer.name] =
        String(error instanceof Error ? error.message : error).split('\n')[0] ?? ''
    }
  }
}

/** Estimates the time left from the rounds so far. */
function progressOf(
  races: { scenario: Scenario; contenders: Contender[] }[],
  rounds: number,
): Plan['onRound'] {
  const roundsIn = (scenario: Scenario) =>
    roundsOf(scenario, { rounds }) + ((scenario.hasWarmUp ?? true) ? 1 : 0)
  const all = races.reduce((sum, { scenario, contenders }) => sum + roundsIn(scenario) * contenders.length, 0)
  const startedAtMs = performance.now()
  let done = 0
  return (scenario, { peer, variant }, round) => {
    const spentMs = performance.now() - startedAtMs
    const left = done > 2 ? `, about ${Math.ceil(((spentMs / done) * (all - done)) / 60_000)} min left` : ''
    done += 1
    const which = round === 0 ? 'warm-up' : `round ${round} of ${roundsOf(scenario, { rounds })}`
    say(`${done}/${all} ${scenario.id} ${which}: ${peer.name}${variant && `, ${variant}`}${left}`)
  }
}

function say(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`)
  else process.stderr.write(`${text}\n`)
}

function listed(): string {
  const width = Math.max(...peers.map((peer) => peer.name.length)) + 2
  return [
    'Scenarios:',
    ...scenarios.map(({ id, title }) => `  ${id.padEnd(4)} ${title}`),
    'Peers:',
    ...peers.map(({ name, title }) => `  ${name.padEnd(width)} ${title}`),
  ].join('\n')
}
