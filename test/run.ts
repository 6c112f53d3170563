// What `npm test` runs: jest in a process group and a temporary folder of its own. Whatever ends this process, all that the tests started
// ends with it. Where CI is set, suites that failed run once more, alone, at the end: a suite that passes then is told as FLAKY.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { until } from './cluster/processes.ts'
import { isTestbed, stopTestbed } from './cluster/testbed.ts'
import { endRun, processesOfRun, RUN_FOLDER, whenParentEnds } from './run-processes.ts'
import { closingLines, type SuiteResult } from './suite-results.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const JEST = [
  ...['--conditions=millhand-source', '--experimental-vm-modules'],
  ...['--disable-warning=ExperimentalWarning', 'node_modules/jest/bin/jest.js'],
]
const PATIENCE_AFTER_RESULTS_MS = 20_000
const WITHOUT_END_MS = 24 * 3_600_000
const EXIT_CODE_OF_A_SIGNAL = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

export interface Run {
  args: readonly string[]
  /** Added to the environment of the tests. */
  variables?: Record<string, string>
  /** Failed suites run once more, alone. */
  again: boolean
}

/** Resolves to the exit code when everything that the tests started has ended. */
export async function playTests({ args, variables = {}, again }: Run): Promise<number> {
  // Short: sockets lie below it.
  const folder = mkdtempSync(join(tmpdir(), 'mh-'))
  const env = { ...process.env, ...variables, TMPDIR: folder, [RUN_FOLDER]: folder }
  let interruptedBy: keyof typeof EXIT_CODE_OF_A_SIGNAL | undefined
  let jestPid: number | undefined
  const interrupt = (signal: keyof typeof EXIT_CODE_OF_A_SIGNAL) => {
    interruptedBy ??= signal
    endRun(folder, jestPid)
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => interrupt(signal))
  whenParentEnds(() => interrupt('SIGHUP'))
  const play = async (more: readonly string[], half = ''): Promise<Played> => {
    const file = join(folder, 'results.json')
    rmSync(file, { force: true })
    const jest = spawn(process.execPath, [...JEST, ...more], {
      cwd: ROOT,
      env: { ...env, MILLHAND_TEST_RESULTS: file, ...(half && { MILLHAND_TEST_HALF: half }) },
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true,
    })
    jestPid = jest.pid
    let hasEnded = false
    const exit = once(jest, 'exit').finally(() => {
      hasEnded = true
    })
    // A suite that failed may leave a connection open, which jest waits for without end once it has told its results.
    void until(() => hasEnded || existsSync(file), { withinMs: WITHOUT_END_MS, everyMs: 1_000 })
      .then(() => until(() => hasEnded, { withinMs: PATIENCE_AFTER_RESULTS_MS }))
      .then((isGone) => isGone || endRun(folder, jestPid))
    const [code] = await exit
    // Those that are just ending need a moment.
    await until(() => interruptedBy || processesOfRun(folder, jestPid).length === 0, { withinMs: 3_000 })
    const leftOver = endRun(folder, jestPid)
    if (leftOver.length > 0 && !interruptedBy)
      console.log(`The tests left ${leftOver.length} processes behind: ${leftOver.join(', ')}`)
    const suites: SuiteResult[] = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : []
    // Ended after its results: they decide.
    return { code: code ?? (suites.length > 0 && !suites.some(({ isFailed }) => isFailed) ? 0 : 1), suites }
  }
  try {
    const first = args.length > 0 ? await play(args) : await playHalves(play, () => Boolean(interruptedBy))
    const failed = first.suites.filter(({ isFailed }) => isFailed)
    const isRunAgain = again && failed.length > 0 && !interruptedBy
    if (isRunAgain) console.log(`\n${failed.length} suites failed: running them once more, alone\n`)
    // Options that are one word, as --config=FILE; what chose the suites is replaced by the suites.
    const second = isRunAgain
      ? await play([
          ...args.filter((each) => each.startsWith('-')),
          '--runInBand',
          '--runTestsByPath',
          ...failed.map(({ path }) => path),
        ])
      : undefined
    if (interruptedBy) return EXIT_CODE_OF_A_SIGNAL[interruptedBy]
    for (const line of closingLines(first.suites, second?.suites)) console.log(line)
    return second?.code ?? first.code
  } finally {
    await stopClustersIn(folder)
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

interface Played {
  code: number
  suites: SuiteResult[]
}

/** First the suites without a cluster, whose bounds in time are tight; then those on one, which wait more than they work. */
async function playHalves(
  play: (args: readonly string[], half: string) => Promise<Played>,
  isInterrupted: () => boolean,
): Promise<Played> {
  const without = await play(['--maxWorkers=2'], 'without a cluster')
  if (isInterrupted()) return without
  const on = await play(['--maxWorkers=3'], 'on a cluster')
  return { code: without.code || on.code, suites: [...without.suites, ...on.suites] }
}

/** Their processes have ended; control groups outlive processes. */
async function stopClustersIn(folder: string): Promise<void> {
  for (const name of readdirSync(folder))
    for (const cluster of [join(folder, name), join(folder, name, 'cluster')])
      if (isTestbed(cluster)) await stopTestbed(cluster).catch((error) => console.error(error.message))
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  process.exit(await playTests({ args: process.argv.slice(2), again: Boolean(process.env.CI) }))
