import { execFileSync } from 'node:child_process'

const MODULE = new URL('../../worker-runtime/src/young-generation.ts', import.meta.url).href

/** Makes objects of which many live for a while, and prints how large the young generation has become, in MB. */
const BUSY = `import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'
  setFlagsFromString('--semi-space-growth-factor=1')
  if (process.argv[1]) (await import(process.argv[1])).letYoungGenerationGrow()
  const recent = []
  let most = 0
  for (let turn = 0; turn < 150; turn += 1) {
    for (let i = 0; i < 40_000; i += 1) recent[i % 4_000] = { i, text: 'x' + i }
    for (const { space_name, space_size } of getHeapSpaceStatistics())
      if (space_name === 'new_space') most = Math.max(most, space_size / 2 ** 20)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  console.log(most)`

const mostMegabytes = (...args: string[]): number =>
  Number(
    execFileSync(process.execPath, ['--input-type=module', '--eval', BUSY, ...args], { encoding: 'utf8' }),
  )

test('the young generation of a busy worker with Reuse grows to 8 MB or a little more, and else it stays', () => {
  expect(mostMegabytes()).toBeLessThan(8)
  const grown = mostMegabytes(MODULE)
  expect(grown).toBeGreaterThanOrEqual(8)
  expect(grown).toBeLessThanOrEqual(16)
})
