// The tasks that the conformance test of the child's protocol asks of every child.
import { task } from '../../worker-runtime/src/index.ts'

export const echo = task('echo', (input: unknown) => input)
export const fails = task('fails', ({ message }: { message: string }) => {
  throw Object.assign(new Error(message), { name: 'ValueError' })
})
export const large = task('large', ({ bytes }: { bytes: number }) => 'x'.repeat(bytes))
/** The only verb that there is. */
export const asks = task('asks', async (_: { verb: string }, job) => {
  await job.progress({ half: 0.5 })
  return null
})
export const waits = task('waits', async (_: unknown, { signal }) => {
  await new Promise((aborted) => signal.addEventListener('abort', aborted))
  return 'aborted'
})
export const writes = task('writes', ({ text }: { text: string }) => void process.stdout.write(text))
