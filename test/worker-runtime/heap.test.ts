import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const HEAP = fileURLToPath(new URL('../../worker-runtime/src/heap.ts', import.meta.url))
const MEGABYTE = 2 ** 20

/** Makes objects that live for a while, as a busy worker does, and tells how large the young generation is then. */
const PROGRAM = `
  const recent = []
  for (let i = 0; i < 3_000_000; i += 1) recent[i % 20_000] = { i, text: 'x' + i }
  const { getHeapSpaceStatistics } = require('node:v8')
  console.log(getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size)
`

function youngBytes(...options: string[]): number {
  const { NODE_OPTIONS: _, ...env } = process.env
  return Number(execFileSync(process.execPath, [...options, '--eval', PROGRAM], { env, encoding: 'utf8' }))
}

test('the young generation of a worker does not grow', () => {
  expect(youngBytes()).toBeGreaterThan(8 * MEGABYTE)
  expect(youngBytes(`--import=${HEAP}`)).toBeLessThan(4 * MEGABYTE)
})
