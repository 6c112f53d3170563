// The operator is killed right before, or right after, each thing that it writes to the API server or to Redis, in the life of a pool
// from its creation to its end, and started again as a Deployment would: the life is the same. A sample of these points;
// MILLHAND_CRASH_POINTS=all takes every one, and a list like 'before 7,after 12' these. The long form: npm run soak -- --cluster.
import { once } from 'node:events'
import fc from 'fast-check'
import { type SharedCluster, sharedCluster } from '../../cluster/shared.ts'
import { onCluster } from '../../cluster/suites.ts'
import { livePool } from './life.ts'
import { type Note, Probe } from './probed.ts'
import { type OperatorProcess, openScene, type Scene } from './scene.ts'
import { type World, watchWorld } from './world.ts'

const seed = Number(process.env.MILLHAND_CRASH_SEED ?? Date.now() % 2 ** 31)
const chosen = process.env.MILLHAND_CRASH_POINTS
const SAMPLE = Number(process.env.MILLHAND_CRASH_SAMPLE ?? 5)
/** A life takes some fifty writes, not always as many: a point that is not reached is an undisturbed life. */
const WRITES = 56
/** Lives at a time: a machine with two cores starts workers for them all. */
const AT_ONCE = 4
const HOURS_MS = 3 * 3_600_000

onCluster(`an operator that is killed (seed ${seed})`, () => {
  let cluster: SharedCluster
  let world: World
  let opening: Promise<unknown> = Promise.resolve()
  beforeAll(async () => {
    cluster = await sharedCluster()
    world = await watchWorld(cluster)
  }, 3_600_000)
  afterAll(() => world?.stop(), 60_000)

  test(
    'at any of its writes lets a pool live as if nothing had happened',
    async () => {
      const deaths: string[] = []
      const failures: string[] = []
      let lives = 0
      let isBeyond = false
      await eachOf(
        pointsOf(() => isBeyond),
        AT_ONCE,
        async (points) => {
          lives++
          try {
            const strikes = await lifeWithDeaths(points.split('+').map((point) => `SIGKILL ${point}`))
            isBeyond ||= strikes.length === 0
            deaths.push(...strikes.map(({ what }) => briefly(what)))
          } catch (error) {
            failures.push(`${points} (seed ${seed}): ${error instanceof Error ? error.stack : error}`)
          }
        },
      )
      const each = Map.groupBy(deaths, (what) => what)
      const told = [...each].map(([what, { length }]) => `${length} at ${what}`).sort()
      process.stderr.write(
        `in ${lives} lives of a pool the operator died ${deaths.length} times (seed ${seed}): ${told.join(', ')}\n`,
      )
      expect(failures).toEqual([])
      expect(deaths.length).toBeGreaterThan(lives / 2)
    },
    chosen || SAMPLE > 10 ? HOURS_MS : 600_000,
  )

  /** One strike for each operator in turn, the last one has none. Answers those that hit. */
  async function lifeWithDeaths(strikes: readonly string[]): Promise<Note[]> {
    const probe = new Probe()
    // The same name, as a container that is started again in its pod: nobody waits for the lease to expire.
    const variables = { MILLHAND_POD_NAME: 'operator-0', ...probe.variables(strikes[0]) }
    let scene: Scene | undefined
    try {
      // One at a time: they bring the same images.
      const open = () => openScene('crash', { cluster, variables })
      const opened = opening.then(open, open)
      opening = opened
      scene = await opened
      const over = new AbortController()
      const kept = keepAlive(scene, probe, strikes, over.signal)
      const lived = livePool(scene, world, 'mail').finally(() => over.abort())
      await Promise.all([lived, kept])
      return probe.notes().filter(({ kind }) => kind === 'strike')
    } finally {
      await scene?.remove()
      probe.remove()
    }
  }
})

/** The deaths of each life, as `<before|after> <n>` with + between them. */
function* pointsOf(isBeyond: () => boolean): Generator<string> {
  const at = (write: number) => [`before ${write}`, `after ${write}`]
  if (chosen && chosen !== 'all') return yield* chosen.split(',')
  // Twelve in one life, each after a few writes.
  const early = fc.tuple(fc.constantFrom('before', 'after'), fc.integer({ min: 1, max: 12 }))
  const restless = fc.sample(early, { seed, numRuns: 12 })
  yield restless.map((point) => point.join(' ')).join('+')
  if (chosen === 'all') {
    for (let write = 1; !isBeyond(); write++) yield* at(write)
    return
  }
  const all = Array.from({ length: WRITES }, (_, index) => at(index + 1)).flat()
  const some = { minLength: SAMPLE, maxLength: SAMPLE }
  const [sample = []] = fc.sample(fc.shuffledSubarray(all, some), { seed, numRuns: 1 })
  yield* sample
}

async function keepAlive(
  scene: Scene,
  probe: Probe,
  strikes: readonly string[],
  over: AbortSignal,
): Promise<void> {
  let operator: OperatorProcess = scene.operator
  for (let deaths = 1; !over.aborted; deaths++) {
    const { process } = operator
    if (process.exitCode === null && process.signalCode === null)
      await once(process, 'exit', { signal: over }).catch(() => {})
    if (over.aborted) return
    if (process.signalCode !== 'SIGKILL') throw new Error(`the operator ended by itself: ${process.exitCode}`)
    operator = await scene.startOperator(probe.variables(strikes[deaths]))
  }
}

/** Without names that a life has for itself. */
function briefly(what: string): string {
  return what
    .replace(/\?.*/, '')
    .replace(/\/namespaces\/[^/]+/, '')
    .replace(/(pods|events)\/.*/, '$1')
    .replace(/^(\w+) mh:.*/, '$1')
}

async function eachOf<T>(
  left: Generator<T>,
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const hand = async () => {
    // Not for…of: the first hand that leaves it would end it for the others.
    for (let next = left.next(); !next.done; next = left.next()) await work(next.value)
  }
  await Promise.all(Array.from({ length: atOnce }, hand))
}
