// The last line of a test run: how many passed, failed, were skipped.
interface Results {
  numPassedTests: number
  numFailedTests: number
  numPendingTests: number
  numRuntimeErrorTestSuites: number
}

export default class ClosingLine {
  onRunComplete(_contexts: unknown, results: Results): void {
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites
    const line = `${results.numPassedTests} passed, ${failed} failed, ${results.numPendingTests} skipped\n`
    // Jest's own summary comes after its reporters.
    process.once('exit', () => process.stdout.write(line))
  }
}
