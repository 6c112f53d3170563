// The tasks that the conformance test of the child's protocol asks of every child.
import { HandOver, task } from '../../worker-runtime/src/index.ts'

export const echo = task('echo', (input: unknown) => input)
export const fails = task('fails', ({ message }: { message: string }) => {
  throw Object.assign(new Error(message), { name: 'ValueError' })
})
export const large = task('large', ({ bytes }: { bytes: number }) => 'x'.repeat(bytes))
export const asks = task('asks', async (_: { verb: string }, job) => {
  await job.progress({ half: 0.5 })
  return null
})
export const saves = task('saves', async (_: unknown, job) => {
  const first = await job.step('first', () => 1)
  const second = await job.step('second', () => [first, 'ä'])
  await job.checkpoint({ at: 2 })
  return second
})
export const handsOver = task('hands-over', async (_: unknown, { draining }) => {
  await new Promise((drained) => draining.addEventListener('abort', drained))
  throw new HandOver()
})
export const waits = task('waits', async (_: unknown, { signal }) => {
  await new Promise((aborted) => signal.addEventListener('abort', aborted))
  return 'aborted'
})
export const writes = task('writes', ({ text }: { text: string }) => void process.stdout.write(text))
