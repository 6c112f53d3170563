// The zygote's first file, before those that NODE_OPTIONS loads (zygote-preload.cts requires it, in the main
// thread alone). It measures the process as it is: all that comes later belongs to the user's modules.
import { readFile } from 'node:fs'
import { noticeDraws, noticePid } from './drawn.ts'
import { noticeExitListeners } from './exit-listeners.ts'
import { measureOpen } from './left-open.ts'
import { makeRandomnessForkable } from './randomness.ts'

/** What zygote.ts has put before the worker's own NODE_OPTIONS. */
const OWN_OPTION = /^--require "[^"]*" ?/

takeBackOwnOption()
readFile('/proc/self/stat', () => {}) // starts libuv's threads
export const before = measureOpen()
makeRandomnessForkable()
let pid = process.pid
Object.defineProperty(process, 'pid', { get: pidOfThisProcess, enumerable: true, configurable: true })
noticeDraws()
noticeExitListeners()

/** After a fork. */
export function bePid(born: number): void {
  pid = born
}

function takeBackOwnOption(): void {
  const { NODE_OPTIONS } = process.env
  if (NODE_OPTIONS) process.env.NODE_OPTIONS = NODE_OPTIONS.replace(OWN_OPTION, '')
}

function pidOfThisProcess(): number {
  noticePid()
  return pid
}
