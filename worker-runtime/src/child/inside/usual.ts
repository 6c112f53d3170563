// The parts of Node that most jobs use, called once in each rehearsal (entry.ts): V8 compiles a function at
// its first call, and its children inherit what the zygote has compiled.
import { randomUUID } from 'node:crypto'
import { appendFileSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'

const NOWHERE = '/dev/null'

export async function doWhatJobsDo(): Promise<void> {
  appendFileSync(NOWHERE, `${performance.timeOrigin + performance.now()} ${new Date().toISOString()}\n`)
  readFileSync(NOWHERE, 'utf8')
  // biome-ignore lint/suspicious/noConsole: it goes to /dev/null
  console.log('%s', { done: true })
  Buffer.from(randomUUID() + Math.random()).toString('base64')
  await readFile(NOWHERE)
  await sleep(0)
}
