// A jest reporter that writes what run.ts needs to know of each suite, and the closing lines that are made of it.
import { writeFileSync } from 'node:fs'
import { relative } from 'node:path'

export interface SuiteResult {
  path: string
  seconds: number
  passed: number
  /** With 1 for a suite that could not run. */
  failed: number
  skipped: number
  isFailed: boolean
  failures: { test: string; seed: string }[]
}

interface JestSuite {
  testFilePath: string
  perfStats: { runtime: number }
  numPassingTests: number
  numFailingTests: number
  numPendingTests: number
  numTodoTests: number
  testExecError?: { message?: string }
  testResults: { status: string; fullName: string; failureMessages: string[] }[]
}

export default class SuiteResults {
  readonly #file = process.env.MILLHAND_TEST_RESULTS

  /** Before jest starts its workers: a test may start another jest, whose results are not those of this run. */
  constructor() {
    delete process.env.MILLHAND_TEST_RESULTS
  }

  onRunComplete(_contexts: unknown, results: { testResults: JestSuite[] }): void {
    if (this.#file) writeFileSync(this.#file, JSON.stringify(results.testResults.map(resultOf)))
  }
}

function resultOf(suite: JestSuite): SuiteResult {
  const failures = suite.testResults
    .filter(({ status }) => status === 'failed')
    .map(({ fullName, failureMessages }) => ({ test: fullName, seed: seedIn(failureMessages.join('\n')) }))
  if (suite.testExecError)
    failures.push({ test: 'the suite itself', seed: seedIn(suite.testExecError.message ?? '') })
  return {
    path: relative(process.cwd(), suite.testFilePath),
    seconds: suite.perfStats.runtime / 1_000,
    passed: suite.numPassingTests,
    failed: failures.length,
    skipped: suite.numPendingTests + suite.numTodoTests,
    isFailed: failures.length > 0,
    failures,
  }
}

/** fast-check writes `{ seed: -1`, our own tests `seed 17` or `MILLHAND_CHAOS_SEED=17`. */
const seedIn = (text: string): string => /seed["']?[\s:=]+(-?\d+)/i.exec(text)?.[1] ?? 'none'

/** The last one: how many passed, failed, were skipped. `again`: the failed suites once more. */
export function closingLines(first: readonly SuiteResult[], again: readonly SuiteResult[] = []): string[] {
  const last = first.map((suite) => again.find(({ path }) => path === suite.path) ?? suite)
  const flaky = first.flatMap((suite) => {
    const now = again.find(({ path }) => path === suite.path)
    return now && !now.isFailed ? suite.failures.map((failure) => ({ ...failure, path: suite.path })) : []
  })
  const slowest = [...first].sort((a, b) => b.seconds - a.seconds).slice(0, 10)
  const sum = (count: (suite: SuiteResult) => number) => last.reduce((all, suite) => all + count(suite), 0)
  return [
    ...(first.length > 1 ? ['', 'The slowest suites:'] : []),
    ...(first.length > 1
      ? slowest.map(({ path, seconds }) => `${seconds.toFixed(1).padStart(7)} s  ${path}`)
      : []),
    '',
    ...flaky.map(({ path, test, seed }) => `FLAKY ${path}, ${test}, seed ${seed}`),
    `${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed, ${sum(({ skipped }) => skipped)} skipped`,
  ]
}
