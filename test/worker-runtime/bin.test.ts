import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const BIN = fileURLToPath(new URL('../../worker-runtime/bin/millhand-worker.js', import.meta.url))

/** At its end, makes objects that live for a while, as a busy worker does, and tells how large each generation was at most, in MB. */
const AT_EXIT = `import { getHeapSpaceStatistics } from 'node:v8'
  const most = { new_space: 0, old_space: 0 }
  const look = () => {
    for (const { space_name: name, space_size: size } of getHeapSpaceStatistics())
      if (name in most) most[name] = Math.max(most[name], size / 2 ** 20)
  }
  process.on('exit', () => {
    const recent = []
    for (let i = 0; i < 3_000_000; i += 1) {
      recent[i % 20_000] = { i, text: 'x' + i }
      if (i % 100_000 === 0) look()
    }
    console.error(JSON.stringify(most))
  })`

function most(...program: string[]): { new_space: number; old_space: number } {
  const { NODE_OPTIONS: _, ...env } = process.env
  const options = [`--import=data:text/javascript,${encodeURIComponent(AT_EXIT)}`, ...program]
  const told = execFileSync('sh', ['-c', 'exec "$0" "$@" 2>&1 >/dev/null', process.execPath, ...options], {
    env,
    encoding: 'utf8',
  })
  return JSON.parse(told.trim().split('\n').at(-1) ?? '')
}

test('the young generation of a worker does not grow, and the old one is collected before it is large', () => {
  expect(most('--eval', '0').new_space).toBeGreaterThan(32)
  // V8's threads collect beside the program, later where the machine is busy: 3 to 17 MB, 20 to 40 MB. So the middle of three runs counts.
  const runs = Array.from({ length: 3 }, () => most(BIN, '--version'))
  const middle = (space: 'new_space' | 'old_space') => runs.map((run) => run[space]).sort((a, b) => a - b)[1]
  expect(middle('new_space')).toBeLessThan(24)
  expect(middle('old_space')).toBeLessThan(48) // 55 and more by V8's own growth
})
