// One pool of the model: a queue, a Deployment with its pods, and a clock that jumps from event to event. It
// knows no policy: a policy calls `scaleTo`, and the pods follow as a ReplicaSet and a kubelet would do it.
//
//   pod: starting ──▶ ready ──▶ terminating ──▶ gone      told to end it claims nothing more; it is gone when its last job has ended,
//                                                          or killed when its grace is over: those jobs run again
import type { Random } from './random.ts'

/** In the order of their arrival. */
export interface Jobs {
  atMs: Float64Array
  durationMs: Float64Array
}

export interface Setting {
  slots: number
  maxReplicas: number
  /** From the scheduling of a pod until it is ready. */
  podStartMs: number
  /** Pods that the cluster schedules in a second; the others wait. */
  podsPerSecond: number
  /** terminationGracePeriodSeconds. */
  graceMs: number
}

/** Decides the number of pods, with its own clock. */
export interface Policy {
  /** Looks at the cluster and changes it. Returns when to look next. */
  look(cluster: Cluster): number
  /** A job came to an empty queue. Returns when the policy looks because of it, if it notices. */
  stirred?(nowMs: number): number
}

export interface Pod {
  uid: string
  createdAtMs: number
  readyAtMs: number
  state: 'starting' | 'ready' | 'terminating' | 'gone'
  /** Jobs that it runs. */
  held: number[]
  /** It claims nothing. */
  isDraining: boolean
  /** Has the lowest deletion cost. */
  isMarked: boolean
  /** Its index among the pods that can claim; -1 where it cannot. */
  place: number
}

/** Valid from this time on. */
export interface Change {
  atMs: number
  count: number
}

export interface Outcome {
  /** For each job, ms from its arrival to the start of the run that completed it. */
  waits: Float64Array
  /** For each job, ms from its arrival to its first start. */
  firstStarts: Float64Array
  /** The sum of the times from a pod's creation to its end. */
  podMs: number
  /** The time of slots in attempts that completed, and in attempts that were killed. */
  usefulMs: number
  wastedMs: number
  podsCreated: number
  killedRuns: number
  /** The pods that the policy wanted. */
  wanted: Change[]
  /** Pods over time, terminating ones included. */
  pods: Change[]
  /** Jobs that had not completed at the end of the run; their waits last until then. */
  unfinished: number
  /** The first arrival. */
  beganAtMs: number
  endedAtMs: number
  /** Bugs of the model: a job that is lost, or that completes twice. */
  problems: string[]
}

/** The time after the last arrival. A job that is killed again and again never ends. */
const PATIENCE_MS = 2 * 3_600_000

export function simulate(setting: Setting, jobs: Jobs, policy: Policy, random: Random): Outcome {
  const cluster = new Cluster(setting, jobs, random)
  const lastMs = (jobs.atMs.at(-1) ?? 0) + PATIENCE_MS
  let lookAtMs = 0
  while (!cluster.isOver && cluster.nowMs < lastMs) {
    const nextMs = cluster.nextMs
    if (nextMs <= lookAtMs) {
      const isStirred = cluster.advance(nextMs)
      if (isStirred && policy.stirred) lookAtMs = Math.min(lookAtMs, policy.stirred(nextMs))
    } else {
      cluster.nowMs = lookAtMs
      lookAtMs = policy.look(cluster)
    }
  }
  return cluster.outcome()
}

export class Cluster {
  readonly setting: Setting
  nowMs = 0
  /** The Deployment's spec.replicas. */
  replicas = 0
  /** Jobs that run, whatever the state of their pod. */
  running = 0
  /** Attempts that completed or were killed. */
  ended = 0
  readonly #jobs: Jobs
  readonly #random: Random
  readonly #agenda = new Agenda()
  readonly #firstStartsMs: Float64Array
  readonly #lastStartsMs: Float64Array
  readonly #runs: Uint16Array
  readonly #completions: Uint16Array
  #live: Pod[] = []
  readonly #claiming: Pod[] = []
  /** Pods that are not gone. */
  readonly #existing = new Set<Pod>()
  #enqueued = 0
  #claimed = 0
  #completed = 0
  /** Killed jobs; they run again first. */
  readonly #again: number[] = []
  #nextStartMs = 0
  readonly #totals = { podMs: 0, usefulMs: 0, wastedMs: 0, podsCreated: 0, killedRuns: 0 }
  readonly #wanted: Change[] = []
  readonly #pods: Change[] = []

  constructor(setting: Setting, jobs: Jobs, random: Random) {
    this.setting = setting
    this.#jobs = jobs
    this.#random = random
    const count = jobs.atMs.length
    this.#firstStartsMs = new Float64Array(count)
    this.#lastStartsMs = new Float64Array(count)
    this.#runs = new Uint16Array(count)
    this.#completions = new Uint16Array(count)
  }

  /** The starting and ready pods, which a Deployment counts. */
  get live(): readonly Pod[] {
    return this.#live
  }

  get waiting(): number {
    return this.#enqueued - this.#claimed + this.#again.length
  }

  get enqueued(): number {
    return this.#enqueued
  }

  get isOver(): boolean {
    return this.#completed === this.#jobs.atMs.length && this.#existing.size === 0
  }

  /** The time of the next arrival or event. */
  get nextMs(): number {
    return Math.min(this.#jobs.atMs[this.#enqueued] ?? Number.POSITIVE_INFINITY, this.#agenda.nextMs)
  }

  /** Whether a job came to an empty queue. */
  advance(toMs: number): boolean {
    this.nowMs = toMs
    if (this.#agenda.nextMs <= toMs) {
      this.#agenda.take()
      return false
    }
    const isStirred = this.waiting === 0
    this.#enqueued += 1
    this.#claim()
    return isStirred
  }

  /** The wanted number, before the Deployment has it: for the count of changes of direction. */
  want(count: number): void {
    if (this.#wanted.at(-1)?.count !== count) this.#wanted.push({ atMs: this.nowMs, count })
  }

  scaleTo(replicas: number): void {
    this.replicas = replicas
    for (let n = this.#live.length; n < replicas; n += 1) this.#create()
    if (this.#live.length <= replicas) return
    const removed = [...this.#live].sort(removalOrder(this.nowMs)).slice(0, this.#live.length - replicas)
    for (const pod of removed) this.#terminate(pod)
    this.#live = this.#live.filter(({ state }) => state === 'starting' || state === 'ready')
  }

  drain(pod: Pod, isDraining: boolean): void {
    pod.isDraining = isDraining
    this.#place(pod)
    this.#claim()
  }

  outcome(): Outcome {
    const since = (ms: number, job: number) => ms - (this.#jobs.atMs[job] ?? 0)
    const waitOf = (ms: number, job: number) => since(this.#completions[job] ? ms : this.nowMs, job)
    const firstStartOf = (ms: number, job: number) => since(this.#runs[job] ? ms : this.nowMs, job)
    let { podMs } = this.#totals
    for (const { createdAtMs } of this.#existing) podMs += this.nowMs - createdAtMs
    return {
      ...this.#totals,
      podMs,
      waits: this.#lastStartsMs.map(waitOf),
      firstStarts: this.#firstStartsMs.map(firstStartOf),
      wanted: this.#wanted,
      pods: this.#pods,
      unfinished: this.#jobs.atMs.length - this.#completed,
      beganAtMs: this.#jobs.atMs[0] ?? 0,
      endedAtMs: this.nowMs,
      problems: this.#problems(),
    }
  }

  #problems(): string[] {
    const { waiting, running } = this
    const { killedRuns } = this.#totals
    const all = this.#jobs.atMs.length
    const runs = this.#runs.reduce((sum, times) => sum + times, 0)
    const twice = this.#completions.findIndex((times) => times > 1)
    return [
      ...(twice >= 0 ? [`job ${twice} completed ${this.#completions[twice]} times`] : []),
      ...(waiting + running + this.#completed !== all
        ? [`of ${all} jobs ${waiting} wait, ${running} run, ${this.#completed} completed`]
        : []),
      ...(runs !== running + this.#completed + killedRuns
        ? [`of ${runs} runs ${running} go on, ${this.#completed} completed, ${killedRuns} were killed`]
        : []),
    ]
  }

  #create(): void {
    const startMs = Math.max(this.nowMs, this.#nextStartMs)
    this.#nextStartMs = startMs + 1000 / this.setting.podsPerSecond
    const pod: Pod = {
      uid: uuid(this.#random),
      createdAtMs: this.nowMs,
      readyAtMs: startMs + this.setting.podStartMs,
      state: 'starting',
      held: [],
      isDraining: false,
      isMarked: false,
      place: -1,
    }
    this.#live.push(pod)
    this.#existing.add(pod)
    this.#totals.podsCreated += 1
    this.#agenda.put(pod.readyAtMs, () => {
      if (pod.state !== 'starting') return
      pod.state = 'ready'
      this.#place(pod)
      this.#claim()
    })
    this.#countPods()
  }

  #terminate(pod: Pod): void {
    pod.state = 'terminating'
    this.#place(pod)
    if (pod.held.length === 0) this.#end(pod)
    else this.#agenda.put(this.nowMs + this.setting.graceMs, () => this.#kill(pod))
  }

  #kill(pod: Pod): void {
    if (pod.state === 'gone') return
    for (const job of pod.held) {
      this.#totals.killedRuns += 1
      this.#totals.wastedMs += this.nowMs - (this.#lastStartsMs[job] ?? 0)
      this.#again.push(job)
    }
    this.running -= pod.held.length
    this.ended += pod.held.length
    pod.held = []
    this.#end(pod)
    this.#claim()
  }

  #end(pod: Pod): void {
    pod.state = 'gone'
    this.#existing.delete(pod)
    this.#totals.podMs += this.nowMs - pod.createdAtMs
    this.#countPods()
  }

  /** Waiting jobs go at once to idle slots, each to a random pod that can claim. */
  #claim(): void {
    while (this.waiting > 0 && this.#claiming.length > 0) {
      const pod = this.#claiming[Math.floor(this.#random() * this.#claiming.length)]
      if (!pod) return
      const job = this.#again.shift() ?? this.#claimed++
      this.#start(job, pod)
    }
  }

  #start(job: number, pod: Pod): void {
    const durationMs = this.#jobs.durationMs[job] ?? 0
    const run = (this.#runs[job] ?? 0) + 1
    this.#runs[job] = run
    this.#lastStartsMs[job] = this.nowMs
    if (run === 1) this.#firstStartsMs[job] = this.nowMs
    this.running += 1
    pod.held.push(job)
    this.#place(pod)
    this.#agenda.put(this.nowMs + durationMs, () => {
      // It was killed with its pod.
      if (pod.state === 'gone') return
      this.#complete(job, pod)
    })
  }

  #complete(job: number, pod: Pod): void {
    const startedAtMs = this.#lastStartsMs[job] ?? 0
    this.running -= 1
    this.ended += 1
    this.#completed += 1
    this.#completions[job] = (this.#completions[job] ?? 0) + 1
    this.#totals.usefulMs += this.nowMs - startedAtMs
    pod.held.splice(pod.held.indexOf(job), 1)
    if (pod.state === 'terminating' && pod.held.length === 0) this.#end(pod)
    this.#place(pod)
    this.#claim()
  }

  /** Puts the pod among the pods that can claim, or takes it out. */
  #place(pod: Pod): void {
    const canClaim = pod.state === 'ready' && !pod.isDraining && pod.held.length < this.setting.slots
    if (canClaim === pod.place >= 0) return
    if (canClaim) {
      pod.place = this.#claiming.push(pod) - 1
      return
    }
    const last = this.#claiming.pop()
    if (last && last !== pod) {
      this.#claiming[pod.place] = last
      last.place = pod.place
    }
    pod.place = -1
  }

  #countPods(): void {
    const last = this.#pods.at(-1)
    const count = this.#existing.size
    if (last?.atMs === this.nowMs) last.count = count
    else this.#pods.push({ atMs: this.nowMs, count })
  }
}

/**
 * The ReplicaSet's: not ready, then the lower deletion cost, then the younger, where ages of the same power
 * of two count as equal and the UID decides. Pods on nodes are spread evenly and none has restarted.
 * https://github.com/kubernetes/kubernetes/blob/master/pkg/controller/controller_utils.go,
 * ActivePodsWithRanks
 */
function removalOrder(nowMs: number): (a: Pod, b: Pod) => number {
  const ageOf = ({ state, createdAtMs, readyAtMs }: Pod) => {
    const ageNs = (nowMs - (state === 'ready' ? readyAtMs : createdAtMs)) * 1e6
    return ageNs > 0 ? Math.floor(Math.log2(ageNs)) : -1
  }
  return (a, b) =>
    Number(a.state === 'ready') - Number(b.state === 'ready') ||
    Number(b.isMarked) - Number(a.isMarked) ||
    ageOf(a) - ageOf(b) ||
    (a.uid < b.uid ? -1 : 1)
}

function uuid(random: Random): string {
  const hex = (digits: number) =>
    Math.floor(random() * 16 ** digits)
      .toString(16)
      .padStart(digits, '0')
  return `${hex(8)}-${hex(4)}-4${hex(3)}-a${hex(3)}-${hex(6)}${hex(6)}`
}

interface Entry {
  atMs: number
  order: number
  act: () => void
}

/** Future events, the earliest first; events of one time in the order in which they were added. */
class Agenda {
  readonly #heap: Entry[] = []
  #order = 0

  get nextMs(): number {
    return this.#heap[0]?.atMs ?? Number.POSITIVE_INFINITY
  }

  put(atMs: number, act: () => void): void {
    const heap = this.#heap
    const entry = { atMs, order: this.#order++, act }
    let at = heap.push(entry) - 1
    while (at > 0) {
      const above = (at - 1) >> 1
      const parent = heap[above]
      if (!parent || !isEarlier(entry, parent)) break
      heap[at] = parent
      at = above
    }
    heap[at] = entry
  }

  take(): void {
    const heap = this.#heap
    const first = heap[0]
    const last = heap.pop()
    if (!first || !last) return
    if (heap.length > 0) this.#sink(last)
    first.act()
  }

  #sink(entry: Entry): void {
    const heap = this.#heap
    let at = 0
    for (;;) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]]
      const below = right && left && isEarlier(right, left) ? 2 * at + 2 : 2 * at + 1
      const child = heap[below]
      if (!child || !isEarlier(child, entry)) break
      heap[at] = child
      at = below
    }
    heap[at] = entry
  }
}

const isEarlier = (a: Entry, b: Entry): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order)
