import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const BIN = fileURLToPath(new URL('../../worker-runtime/bin/millhand-worker.js', import.meta.url))
const MEGABYTE = 2 ** 20

/** At its end, makes objects that live for a while, as a busy worker does, and tells how large the young generation is then. */
const AT_EXIT = `import { getHeapSpaceStatistics } from 'node:v8'
  process.on('exit', () => {
    const recent = []
    for (let i = 0; i < 3_000_000; i += 1) recent[i % 20_000] = { i, text: 'x' + i }
    console.error(getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space').space_size)
  })`

function youngBytes(...program: string[]): number {
  const { NODE_OPTIONS: _, ...env } = process.env
  const options = [`--import=data:text/javascript,${encodeURIComponent(AT_EXIT)}`, ...program]
  const told = execFileSync('sh', ['-c', 'exec "$0" "$@" 2>&1 >/dev/null', process.execPath, ...options], {
    env,
    encoding: 'utf8',
  })
  return Number(told.trim().split('\n').at(-1))
}

test('the young generation of a worker does not grow', () => {
  expect(youngBytes('--eval', '0')).toBeGreaterThan(8 * MEGABYTE)
  expect(youngBytes(BIN, '--version')).toBeLessThan(4 * MEGABYTE)
})
