// Raises an error when the zygote rehearses (inside/usage.ts asks for what a fork has used), long after it was loaded.
import { task } from '../../worker-runtime/src/task.ts'

const { resourceUsage } = process
process.resourceUsage = () => {
  setImmediate(() => {
    throw new Error('a late error of a module')
  })
  return resourceUsage()
}

export const idle = task('idle', async () => {})
