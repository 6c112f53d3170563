// Runs one scenario: all contenders in turn, round after round. Each round has its own server, folder and
// processes. Called by run.ts; the scenario defines a round.
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Peer, Place } from './peer.ts'
import { Program, removeFolder, StoodStill, temporaryFolder } from './processes.ts'
import { percentile } from './records.ts'
import {
  type Criterion,
  type Extent,
  type Figures,
  labelOf,
  RATE,
  type Results,
  type Scenario,
  type Spread,
} from './scenario.ts'
import { freePort, Server } from './server.ts'
import { until } from './steps.ts'

/** A peer in a variant of the scenario: a row of its table. */
export interface Contender {
  readonly peer: Peer
  readonly variant: string
  readonly rounds: Outcome[]
  readonly notes: Set<string>
  rehearsal: Outcome | undefined
  /**
   * The round in which it stood still; 0: the warm-up. It plays no further round, which would last as long.
   */
  stoodStillIn?: number
}

/** The result of one round. A round with problems is reported and counts for no figure. */
export interface Outcome {
  readonly figures: Figures
  readonly problems: string[]
  readonly hasStoodStill?: boolean
}

export interface Ran {
  readonly scenario: Scenario
  readonly contenders: Contender[]
  readonly criteria: Criterion[]
}

export interface Plan {
  readonly cache: string
  readonly extent: Extent
  readonly rounds: number
  /** Before each round; `round` 0 is the warm-up. */
  onRound(scenario: Scenario, contender: Contender, round: number): void
  isStopping(): boolean
  /** Round.stillMs. */
  readonly stillMs?: number
}

/** 107 bytes of JSON with a number of six digits: `{"n":123456,"payload":"…"}`. */
const PAYLOAD = 'x'.repeat(82)
const DEFAULT_SECONDS = { quick: 2, normal: 4, full: 8 }

export function contendersOf(scenario: Scenario, peers: readonly Peer[], extent: Extent): Contender[] {
  const { variants = [''] } = scenario
  const isEnough = extent === 'quick' && variants[0] === ''
  return peers.flatMap((peer) =>
    variants
      .slice(0, isEnough ? 1 : variants.length)
      .filter((variant) => scenario.plays?.(peer.name, variant) ?? true)
      .map((variant) => ({ peer, variant, rounds: [], notes: new Set<string>(), rehearsal: undefined })),
  )
}

export const roundsOf = (scenario: Scenario, plan: { rounds: number }): number =>
  scenario.rounds ?? plan.rounds

export async function runScenario(scenario: Scenario, contenders: Contender[], plan: Plan): Promise<Ran> {
  const hasWarmUp = scenario.hasWarmUp ?? true
  for (let round = hasWarmUp ? 0 : 1; round <= roundsOf(scenario, plan); round += 1) {
    for (let turn = 0; turn < contenders.length; turn += 1) {
      const contender = contenders[(turn + round) % contenders.length]
      if (!contender || contender.stoodStillIn !== undefined || plan.isStopping()) continue
      plan.onRound(scenario, contender, round)
      const count = round === 0 ? warmUpOf(scenario, plan.extent) : countOf(scenario, contender, plan.extent)
      const outcome = await runRound({ scenario, contender, contenders, plan, count, isWarmUp: round === 0 })
      if (round === 0) contender.rehearsal = outcome
      else contender.rounds.push(outcome)
      if (outcome.hasStoodStill) contender.stoodStillIn = round
    }
  }
  return { scenario, contenders, criteria: scenario.criteria(resultsOf(contenders)) }
}

const warmUpOf = ({ jobs }: Scenario, extent: Extent): number =>
  extent === 'quick' ? Math.ceil(jobs.warmUp / 3) : jobs.warmUp

/** The number of jobs for this time at the speed of the warm-up. */
function countOf({ jobs }: Scenario, { rehearsal }: Contender, extent: Extent): number {
  const pace = rehearsal?.figures[RATE.name]
  if (pace === undefined) return rehearsal && rehearsal.problems.length > 0 ? jobs.warmUp : jobs.most
  const seconds = extent === 'quick' ? DEFAULT_SECONDS.quick : (jobs.seconds ?? DEFAULT_SECONDS[extent])
  const step = jobs.step ?? 100
  return Math.min(jobs.most, Math.max(1, Math.ceil((pace * seconds) / step)) * step)
}

interface OneRound {
  scenario: Scenario
  contender: Contender
  contenders: Contender[]
  plan: Plan
  count: number
  isWarmUp: boolean
}

async function runRound({
  scenario,
  contender,
  contenders,
  plan,
  count,
  isWarmUp,
}: OneRound): Promise<Outcome> {
  const { peer, variant, notes } = contender
  const root = temporaryFolder()
  const folder = (name: string) => {
    mkdirSync(join(root, name), { recursive: true })
    return join(root, name)
  }
  const problems: string[] = []
  const started: (Program | Server)[] = []
  const keep = <T extends Program | Server>(thing: T): T => {
    started.push(thing)
    return thing
  }
  let figures: Figures = {}
  let hasStoodStill = false
  try {
    const startServer = async () =>
      keep(await Server.start(scenario.settings?.(variant), await scenario.program?.()))
    const server = await startServer()
    const place: Place = { cache: plan.cache, redisUrl: server.url, records: folder('records') }
    if (peer.startServer) {
      place.serverPort = await freePort()
      const own = keep(new Program(peer.startServer(place.serverPort), `server of ${peer.name}`))
      await untilListening(own, place.serverPort)
    }
    figures = await scenario.round({
      peer,
      variant,
      count,
      extent: plan.extent,
      stillMs: plan.stillMs,
      isWarmUp,
      place,
      server,
      payload: PAYLOAD,
      folder,
      keep,
      startProducer: (at = place) =>
        keep(new Program(peer.startProducer(at), `producer of ${peer.name}`)).ready(),
      startWorker: (options, at = place) =>
        keep(new Program(peer.startWorker(at, options), `worker of ${peer.name}`)),
      startServer,
      fail: (problem) => problems.push(problem),
      note: (text) => notes.add(text),
      earlier: (name, of) => {
        const other = contenders.find((each) => each.peer.name === name && each.variant === of)
        return (other?.rounds.at(-1) ?? other?.rehearsal)?.figures
      },
    })
  } catch (error) {
    hasStoodStill = error instanceof StoodStill
    problems.push(error instanceof Error ? error.message : String(error))
  }
  // Workers stop before their servers.
  for (const thing of started.reverse()) await thing.stop()
  removeFolder(root)
  return { figures, problems, ...(hasStoodStill && { hasStoodStill }) }
}

async function untilListening(server: Program, port: number): Promise<void> {
  const isListening = () => {
    server.mustLive()
    return new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
      socket.once('connect', () => socket.end())
    })
  }
  await until(isListening, 10_000, 'it listens')
}

const exactRounds = ({ rounds }: Contender) => rounds.filter(({ problems }) => problems.length === 0)

export function spreadOf({ rounds }: Pick<Contender, 'rounds'>, name: string): Spread | undefined {
  const values = rounds.filter(({ problems }) => problems.length === 0).map(({ figures }) => figures[name])
  return spread(values.filter((value) => value !== undefined))
}

function spread(values: readonly number[]): Spread | undefined {
  if (values.length === 0) return undefined
  const sorted = [...values].sort((a, b) => a - b)
  const middle = [
    sorted[Math.floor((sorted.length - 1) / 2)] ?? 0,
    sorted[Math.floor(sorted.length / 2)] ?? 0,
  ]
  const median = ((middle[0] ?? 0) + (middle[1] ?? 0)) / 2
  return { median, min: percentile(sorted, 0), max: percentile(sorted, 1) }
}

export function resultsOf(contenders: readonly Contender[]): Results {
  const find = (name: string, variant: string) =>
    contenders.find((each) => labelOf(each.peer.name, each.variant) === labelOf(name, variant))
  return {
    figure(peer, name, variant = '') {
      const contender = find(peer, variant)
      return contender && spreadOf(contender, name)
    },
    ratio(peer, to, name, [variant, toVariant] = ['', '']) {
      const [ours, theirs] = [find(peer, variant), find(to, toVariant)]
      if (!ours || !theirs || exactRounds(ours).length === 0) return undefined
      const ratios = ours.rounds.flatMap((round, i) => {
        const other = theirs.rounds[i]
        const [a, b] = [round.figures[name], other?.figures[name]]
        const isExact = round.problems.length === 0 && other?.problems.length === 0
        return isExact && a !== undefined && b !== undefined ? [a / b] : []
      })
      return spread(ratios)
    },
  }
}
