// A rehearsal is an attempt that does nothing and is not reported to the worker. The zygote plays some before
// it forks, with the parts of Node that most jobs use: V8 compiles a function at its first calls, and
// children inherit the compiled code. A waiting child plays one more (entry.ts).
import { randomUUID } from 'node:crypto'
import { appendFileSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodeToChild } from '../messages.ts'
import type { Order } from './job.ts'

const NOWHERE = '/dev/null'
export const REHEARSAL = 'millhand:rehearsal'

export const rehearsalOrder = (id: number): Buffer =>
  encodeToChild({
    kind: 'attempt',
    id,
    queue: REHEARSAL,
    jobId: REHEARSAL,
    task: REHEARSAL,
    attempt: 1,
    enqueuedAtMs: 0,
    payload: '{"a":[1]}',
  })

export const isRehearsal = ({ task }: Order): boolean => task === REHEARSAL

export async function doWhatJobsDo(): Promise<void> {
  appendFileSync(NOWHERE, `${performance.timeOrigin + performance.now()} ${new Date().toISOString()}\n`)
  readFileSync(NOWHERE, 'utf8')
  // biome-ignore lint/suspicious/noConsole: it goes to /dev/null
  console.log('%s', { done: true })
  Buffer.from(randomUUID() + Math.random()).toString('base64')
  await readFile(NOWHERE)
  await sleep(0)
}
