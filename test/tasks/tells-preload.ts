import { task } from '../../worker-runtime/src/task.ts'

export const preload = task('tells-preload', async () => process.env.LD_PRELOAD)
