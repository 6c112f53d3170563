// Notes in which processes an attempt has ended, by what each does then (inside/usage.ts asks for what a fork has used).
import { readlinkSync } from 'node:fs'
import { setFlagsFromString } from 'node:v8'
import { task } from '../../worker-runtime/src/task.ts'

const pids: string[] = []
const { resourceUsage } = process
process.resourceUsage = () => {
  pids.push(readlinkSync('/proc/self'))
  return resourceUsage()
}
// V8 prints each function that it compiles, and each that it optimizes, to stdout.
setFlagsFromString('--print-bytecode --trace-opt --trace-deopt')

export const rehearsals = task('rehearsals', function rehearsals() {
  const own = readlinkSync('/proc/self')
  let count = 0
  for (const pid of pids) if (pid === own) count += 1
  return count
})

export const compiles = task('compiles', () => {
  const compiledHere = new Function('return function compiledHere(n) { return n + 1 }')()
  let sum = 0
  for (let n = 0; n < 100_000; n += 1) sum = compiledHere(sum)
  return sum
})
