// The programs that tests of chart and metrics call are there, each in the version it is asked for.
import { run } from './run.ts'
import { helm3, helm4, prometheus, promtool } from './tools.ts'

test('Helm 3, Helm 4, Prometheus and promtool run', async () => {
  expect(await run([await helm3(), 'version', '--short'])).toMatch(/^v3\./)
  expect(await run([await helm4(), 'version', '--short'])).toMatch(/^v4\./)
  expect(await run([await promtool(), '--version'])).toContain('promtool')
  expect(await run([await prometheus(), '--version'])).toContain('prometheus')
}, 600_000)
