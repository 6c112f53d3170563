// Reads from Redis how many jobs there are, and starts a process for each with child_process.fork, so many at
// a time. Counts down when a process has ended. Arguments: the Redis URL, how many at once, a module to load
// in each or nothing.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Redis } from 'ioredis'
import { endWithStdin } from '../node/recording.ts'

const [, , url = '', width = '2', module = ''] = process.argv
const redis = new Redis(url)
const script = fileURLToPath(new URL('./job.js', import.meta.url))
const count = Number(await redis.get('bench:left'))
let next = 0

endWithStdin()
console.log('{"ready":true}')
for (let i = 0; i < Number(width); i += 1) startNext()

function startNext(): void {
  if (next >= count) return
  const child = fork(script, [String(next), module])
  next += 1
  child.on('exit', () => {
    void redis.decr('bench:left')
    startNext()
  })
}
