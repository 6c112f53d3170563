// The results of the model in the tables of the bench, with the assumptions above them.
import { type Report as TimedReport, tableOf } from '../report.ts'
import { spreadOf } from '../runner.ts'
import { type Criterion, numberText } from '../scenario.ts'
import { type Conditions, FIGURES, type Played } from './figures.ts'
import { HPA_SYNC_MS, KEDA_DEFAULTS, kedaTuned } from './keda.ts'
import type { Load } from './loads.ts'
import { SCALE_DOWN_WINDOW_MS } from './millhand.ts'
import type { Contestant } from './policies.ts'

export type LoadReport = TimedReport['scenarios'][number]

export interface Report {
  command: string
  firstSeed: number
  rounds: number
  conditions: Conditions
  assumptions: readonly string[]
  loads: LoadReport[]
}

/** One contestant on one load: a round for each seed. */
export interface Ran {
  contestant: Contestant
  rounds: Played[]
}

export function reportOf({ id, title, about }: Load, ran: readonly Ran[]): LoadReport {
  const rows = ran.map(({ contestant: { name, title: label }, rounds }) => {
    const toFirst = ran[0] && ratioOf(rounds, ran[0].rounds)
    const spreads = FIGURES.map((figure) => [figure.name, spreadOf({ rounds }, figure.name)] as const)
    return {
      ...{ peer: name, variant: '', title: label, delivery: '', remark: '', notes: [] },
      figures: Object.fromEntries(spreads.flatMap(([figure, spread]) => (spread ? [[figure, spread]] : []))),
      rounds: rounds.map(({ figures, problems }) => ({ figures, problems })),
      ...(toFirst && { toFirst }),
    }
  })
  return { id, title, about, figures: FIGURES, rows, criteria: criteriaOf(ran) }
}

/** The ratio of the main figure, seed by seed. Empty where the first contestant does not wait. */
function ratioOf(rounds: readonly Played[], firsts: readonly Played[]) {
  const main = FIGURES[0]?.name ?? ''
  const ratios = rounds.map(
    ({ figures }, round) => (figures[main] ?? 0) / (firsts[round]?.figures[main] ?? 0),
  )
  if (!ratios.every(Number.isFinite)) return undefined
  return spreadOf({ rounds: ratios.map((ratio) => ({ figures: { ratio }, problems: [] })) }, 'ratio')
}

function criteriaOf(ran: readonly Ran[]): Criterion[] {
  const ours = ran.filter(({ contestant }) => contestant.name.startsWith('millhand'))
  const worst = (some: readonly Ran[], name: string) =>
    Math.max(...some.flatMap(({ rounds }) => rounds.map(({ figures }) => figures[name] ?? Number.NaN)))
  const killed = worst(ours, 'killed')
  const unfinished = worst(ours, 'unfinished')
  const turns = worst(ours, 'turnsPerWindow')
  const [first, tuned] = [ran[0], ran.find(({ contestant }) => contestant.name === 'keda-tuned')]
  const waits = [first, tuned].map((each) => each && spreadOf(each, 'p95')?.median)
  const [waitsOurs, waitsTuned] = waits
  return [
    {
      text: 'Millhand: no running job is killed, and each is done',
      measured: `${killed} killed, ${unfinished} never done`,
      held: killed === 0 && unfinished === 0,
    },
    {
      text: `Millhand: at most one turn per window of ${SCALE_DOWN_WINDOW_MS / 1000} s, in each pool on average`,
      measured: `${numberText(turns)}, and ${worst(ours, 'mostTurnsInWindow')} where most lie within one window`,
      held: turns <= 1,
    },
    {
      text: 'Millhand, Concurrency: p95 no longer than tuned KEDA',
      measured: `${numberText(waitsOurs ?? Number.NaN)} to ${numberText(waitsTuned ?? Number.NaN)} s`,
      held: waitsOurs === undefined || waitsTuned === undefined ? undefined : waitsOurs <= waitsTuned,
    },
  ]
}

/** A round each. */
export function seedsOf({ firstSeed, rounds }: Pick<Report, 'firstSeed' | 'rounds'>): number[] {
  return Array.from({ length: rounds }, (_, round) => firstSeed + round)
}

export function headOf({ command, firstSeed, rounds, assumptions }: Report): string {
  return [
    `<!-- written by: ${command} -->`,
    '# Scaling: Millhand and KEDA in a model\n',
    `Seeds: ${seedsOf({ firstSeed, rounds }).join(', ')}. The same seed gives the same numbers.\n`,
    'A simulation: no cluster took part. Millhand is its own code (`decideReplicas`, `chooseVictims`), KEDA and the HPA are written down from their sources.',
    'A figure is the median over the seeds. Waits last from arrival to the start of the run that completed the job. Turns are changes of direction of what was wanted.\n',
    '## Assumptions\n',
    ...assumptions.map((each) => `- ${each}`),
    '',
  ].join('\n')
}

export function decisionsOf(played: readonly { load: Load; ran: readonly Ran[] }[]): string {
  const lines = played.flatMap(({ load, ran }) => {
    const ours = ran.find(({ contestant }) => contestant.name === 'millhand')
    if (!ours) return []
    const all = ours.rounds.map(({ times }) => times)
    const count = all.reduce((sum, times) => sum + times.count, 0)
    const totalMs = all.reduce((sum, times) => sum + times.totalMs, 0)
    const longestMs = Math.max(...all.map((times) => times.longestMs))
    const mean = (1000 * totalMs) / count
    return [`| ${load.title} | ${numberText(count)} | ${numberText(mean)} | ${numberText(longestMs)} |`]
  })
  return [
    '## What deciding took on this machine\n',
    'Time of `decideReplicas` and `chooseVictims` alone: reading Redis, planning and writing come on top. By the clock, so other programs show; the only numbers here that differ from run to run.\n',
    '| load | decisions | mean µs | longest ms |',
    '|---|--:|--:|--:|',
    ...lines,
    '',
  ].join('\n')
}

const inSeconds = (ms: number): string => `${ms / 1000} s`

export function assumptionsOf({ podStartMs, podsPerSecond }: Conditions): string[] {
  const [keda, tuned] = [KEDA_DEFAULTS, kedaTuned(1)]
  return [
    `Everybody: the same jobs, slots and maximum, and 0 pods at least. A pod is ready ${inSeconds(podStartMs)} after its turn to start (image present, nodes enough), ${podsPerSecond} pods a second get their turn. An idle slot takes a waiting job at once, a random slot where several are idle. One queue a pool.`,
    'Everybody: a pod that is told to end claims nothing more, lets its jobs run for its grace period, and is then killed; those jobs run again, from their start, as soon as there is a slot. Redelivery takes no time, which is kind to whoever kills. A pod costs from its creation until it is gone. Nothing else ends pods: no rollouts, no lost nodes.',
    `Everybody: a ReplicaSet removes pods that are not ready first, then those with the lower deletion cost, then the younger, where ages of the same power of two are equal and chance decides. Pods are spread evenly over nodes.`,
    `Millhand: its defaults; a tick of 1 s (15 s while idle), woken by an enqueue into an empty queue, which takes 100 ms until the Deployment is changed; scale-down window ${inSeconds(SCALE_DOWN_WINDOW_MS)}. A pod goes when it drains and holds nothing; it gets no grace period here, so that a job on it would be killed and counted. What it reads of Redis and of the cluster is never behind.`,
    `KEDA, defaults: redis list trigger with listLength ${keda.listLength}, which is what waits and not what runs; pollingInterval ${inSeconds(keda.pollingIntervalMs)}, cooldownPeriod ${inSeconds(keda.cooldownPeriodMs)}, no \`behavior\`, terminationGracePeriodSeconds ${keda.graceMs / 1000}. KEDA takes a pool from 0 to 1 at a poll, and from any number to 0 when the trigger was inactive for the cooldown; the rest is the HPA's.`,
    `KEDA, tuned: pollingInterval ${inSeconds(tuned.pollingIntervalMs)}, cooldownPeriod ${inSeconds(tuned.cooldownPeriodMs)}, listLength = slots, two triggers added by a formula (scalingModifiers) so that running jobs count; \`behavior\` with a scale-down window of ${inSeconds(tuned.behavior?.scaleDownWindowMs ?? 0)} and scale-up policies that allow everything at once; a grace period of an hour, longer than any job. That KEDA can count running jobs assumes a queue that says how many there are.`,
    `HPA: a sync every ${inSeconds(HPA_SYNC_MS)} (a setting of the cluster, so not tuned), tolerance 10 %, ceil(metric / listLength), whether pods are ready or not; it reads the metric fresh, at the sync. Without \`behavior\` at most the double, or 4, at a sync, and the highest of the recommendations of the last 300 s. Nothing from 0. The phases of poll and sync are random.`,
    'What KEDA recommends for long jobs beside a long grace period, a ScaledJob that makes a Kubernetes Job for each message, is another way to run jobs and not in the model.',
    'Where a job never gets done it is counted, and its wait ends two hours after the last arrival.',
  ]
}

export { tableOf }
