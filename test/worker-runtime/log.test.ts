import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventually } from '../eventually.ts'

const LOG = fileURLToPath(new URL('../../worker-runtime/src/log.ts', import.meta.url))
const LINES = 20_000
// Writes its lines, says on stderr how much memory it has then, and writes one more for each byte that it reads.
const WRITER = `import { logTo } from ${JSON.stringify(LOG)}
  const log = logTo(process.stdout, { level: 'info', fields: { pod: 'p' } })
  for (let line = 1; line <= ${LINES}; line += 1) {
    log.info('x'.repeat(1_000), { line })
    if (line % 100 === 0) await new Promise(setImmediate)
  }
  console.error(process.memoryUsage().rss)
  process.stdin.on('data', () => log.info('still here')).on('end', () => process.exit(7))`

type Line = Record<string, unknown>

/** `shell` starts the writer as "$@". */
function startWriter(shell = 'exec "$@"', env = {}) {
  const node = [process.execPath, '--input-type=module-typescript', '--eval', WRITER]
  const child = spawn('sh', ['-c', shell, 'sh', ...node], { env: { ...process.env, ...env } })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const writer = { child, ended, stderr: '' }
  child.stderr.on('data', (chunk) => (writer.stderr += chunk))
  const written = () =>
    eventually(() => writer.stderr.includes('\n'), { what: 'all is written', withinMs: 60_000 })
  return { child, ended, written, rssBytes: () => Number(writer.stderr) }
}

const linesOf = (text: string): Line[] =>
  text
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line))

test('lines that a reader does not take are dropped, and it is told how many when it reads on', async () => {
  const { child, ended, written, rssBytes } = startWriter()
  await written()
  expect(rssBytes()).toBeLessThan(200 * 2 ** 20)
  let text = ''
  child.stdout.on('data', (chunk) => (text += chunk))
  const dropped = await eventually(() => linesOf(text).find(({ lines }) => lines), { what: 'it is told' })
  const taken = linesOf(text).filter(({ line }) => line).length
  expect(Number(dropped.lines) + taken).toBe(LINES)
  expect(taken).toBeGreaterThan(1_000)
  expect(dropped).toMatchObject({ level: 'warn', pod: 'p' })
  child.stdin.write('.')
  await eventually(() => linesOf(text).at(-1)?.message === 'still here', { what: 'the next line' })
  child.stdin.end()
  expect(await ended).toBe(7)
})

test('a reader that has gone ends nothing', async () => {
  const { child, ended, written } = startWriter()
  child.stdout.once('data', () => child.stdout.destroy())
  await written()
  child.stdin.end('.')
  expect(await ended).toBe(7)
})

test('a device that is always full ends nothing', async () => {
  const { child, ended, written } = startWriter('exec "$@" > /dev/full')
  await written()
  child.stdin.end('.')
  expect(await ended).toBe(7)
})

test('a file that may not grow ends nothing, and gets lines again when there is room', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'millhand-test-'))
  const file = join(folder, 'log')
  const { child, ended, written } = startWriter('ulimit -f 16; exec "$@" >> "$LOG_FILE"', { LOG_FILE: file })
  await written()
  const taken = linesOf(readFileSync(file, 'utf8')).length
  expect(taken).toBeGreaterThan(0)
  truncateSync(file)
  child.stdin.end('.')
  expect(await ended).toBe(7)
  expect(linesOf(readFileSync(file, 'utf8'))).toMatchObject([
    { level: 'warn', lines: LINES - taken },
    { message: 'still here' },
  ])
  rmSync(folder, { recursive: true })
})
