// Tasks that use what a fork of a running Node could have broken. Some of what they use is set up when the module loads, on purpose.
import { execFile } from 'node:child_process'
import crypto, { pbkdf2, randomInt, randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promisify } from 'node:util'
import { Worker } from 'node:worker_threads'
import { gzip } from 'node:zlib'
import sharp from 'sharp'
import { task } from '../../worker-runtime/src/index.ts'

const { random } = Math
// Fill the caches that a fork would copy. Who loads this module says that these may be shared (forkShares).
export const atLoad = [random(), randomUUID(), globalThis.crypto.randomUUID(), randomInt(2 ** 48 - 1)]

export const randoms = task('randoms', () => [
  `random ${Math.random()}`,
  `captured ${random()}`,
  `uuid ${randomUUID()}`,
  `crypto uuid ${crypto.randomUUID()}`,
  `web uuid ${globalThis.crypto.randomUUID()}`,
  `int ${randomInt(2 ** 48 - 1)}`,
  `bytes ${crypto.randomBytes(16).toString('hex')}`,
])

export const tellsPids = task('tells-pids', () => ({
  pid: process.pid,
  ppid: process.ppid,
  kernel: Number.parseInt(readFileSync('/proc/self/stat', 'utf8'), 10),
  group: Number(readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[2]),
}))

export const fetches = task('fetches', async () => {
  const server = createServer((_, response) => response.end('hello'))
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const { port } = server.address() as AddressInfo
  const text = await (await fetch(`http://127.0.0.1:${port}`)).text()
  server.closeAllConnections()
  server.close()
  return text
})
export const starts = task('starts', async () => {
  const { stdout } = await promisify(execFile)('echo', ['hello'])
  return stdout.trim()
})
export const startsNode = task('starts-node', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...process.execArgv,
    '-e',
    'console.log(6 * 7)',
  ])
  return stdout.trim()
})
export const threads = task('threads', async () => {
  const worker = new Worker(
    `const { parentPort } = require('node:worker_threads')
     const kept = []; for (let n = 0; n < 300_000; n++) kept.push({ n })
     parentPort.postMessage([kept.length, Math.random(), crypto.randomUUID()])`,
    { eval: true },
  )
  const [length, ...random] = await new Promise<[number, number, string]>((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  await worker.terminate()
  return { length, random }
})
export const compresses = task(
  'compresses',
  async () => (await promisify(gzip)(Buffer.alloc(100_000))).length < 1_000,
)
export const derives = task('derives', async () =>
  (await Promise.all(Array.from({ length: 8 }, () => promisify(pbkdf2)('a', 'b', 100, 32, 'sha256')))).map(
    ({ length }) => length,
  ),
)
export const reads = task('reads', async () => (await readFile('/proc/self/comm', 'utf8')).length > 0)
export const resizes = task('resizes', async () => {
  const image = sharp({ create: { width: 300, height: 200, channels: 3, background: 'red' } })
  const { info } = await image.resize(30).png().toBuffer({ resolveWithObject: true })
  return `${info.width}x${info.height}`
})
export const compilesWasm = task('compiles-wasm', async () => {
  const bytes = Uint8Array.of(
    0,
    97,
    115,
    109,
    1,
    0,
    0,
    0,
    1,
    5,
    1,
    96,
    0,
    1,
    127,
    3,
    2,
    1,
    0,
    7,
    5,
    1,
    1,
    97,
    0,
    0,
    10,
    6,
    1,
    4,
    0,
    65,
    42,
    11,
  )
  // The types of the browser are not loaded here.
  const { WebAssembly: wasm } = globalThis as unknown as {
    WebAssembly: { instantiate(bytes: Uint8Array): Promise<{ instance: { exports: { a(): number } } }> }
  }
  return (await wasm.instantiate(bytes)).instance.exports.a()
})
export const collects = task('collects', async () => {
  const kept: object[][] = []
  for (let round = 0; round < 40; round += 1) {
    const made = Array.from({ length: 20_000 }, (_, index) => ({ round, index }))
    if (round % 4 === 0) kept.push(made)
    await new Promise((next) => setImmediate(next))
  }
  return kept.length
})
export const waits = task('waits', async ({ ms }: { ms: number }) => {
  const from = performance.now()
  await new Promise((done) => setTimeout(done, ms))
  return performance.now() - from
})
export const leavesByListener = task('leaves-by-listener', async () => {
  process.on('exit', () => process.stdout.write('last words\n'))
  return 'done'
})
export const setsExitCode = task('sets-exit-code', async () => {
  process.on('exit', () => {
    process.exitCode = 9
  })
  process.exit()
})
export const reallyExits = task('really-exits', async () => {
  ;(process as unknown as { reallyExit(code: number): void }).reallyExit(5)
})
export const killsZygote = task('kills-zygote', async () => {
  process.kill(process.ppid, 'SIGKILL')
  return new Promise<never>(() => {})
})
export const orphans = task('orphans', async () => {
  // The shell ends first; what it has started in a session of its own outlives the job by a little.
  await promisify(execFile)('sh', ['-c', 'for n in 1 2 3; do setsid sleep 0.1 & done'])
})

export const pageFaults = task('page-faults', () => process.resourceUsage().minorPageFault)
