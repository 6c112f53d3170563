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
  const { new_space: young, old_space: old } = most(BIN, '--version')
  // How much lives at the moment of a look differs from run to run: 3 to 17 MB, 20 to 36 MB.
  expect(young).toBeLessThan(24)
  expect(old).toBeLessThan(48) // 55 and more by V8's own growth
})
