// Tasks with functions around every attempt: the first one notes what happens, and the second one does what the input says.
import { AsyncLocalStorage } from 'node:async_hooks'
import { TerminalError, task, use } from '../../worker-runtime/src/index.ts'

const noted = new AsyncLocalStorage<string[]>()

use((job, next) =>
  noted.run([`begins ${job.task} ${job.headers.tenant ?? ''}`.trim()], async () => {
    try {
      await next()
      noted.getStore()?.push('ended')
    } catch (error) {
      noted.getStore()?.push(`failed: ${(error as Error).message}`)
      job.log(noted.getStore()?.join(', '))
      throw error
    }
    job.log(noted.getStore()?.join(', '))
  }),
)
use(async (job, next) => {
  switch (job.headers.around) {
    case 'swallows':
      await next().catch(() => {})
      break
    case 'does not wait':
      void next()
      break
    case 'does not call':
      break
    case 'calls twice':
      await next()
      await next()
      break
    case 'buries':
      await next().catch((error) => {
        throw new TerminalError('no use to try again', { cause: error })
      })
      break
    default:
      await next()
  }
  return 'another result'
})

export const works = task('works', () => {
  noted.getStore()?.push('works')
  return 'its result'
})
export const fails = task('fails', async () => {
  await new Promise(setImmediate)
  throw new Error('no')
})
