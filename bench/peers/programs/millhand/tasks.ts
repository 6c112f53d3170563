// The task of the bench, for real workers.
import { task } from 'millhand'
import type { Data } from '../node/producing.ts'
import { perform, recordNow, recordSoon } from '../node/recording.ts'

const record = process.env.BENCH_ONE_JOB === '1' ? recordNow : recordSoon

export const noOp = task('no-op', async ({ n }: Data, job) => {
  record(n)
  await perform(n, job.attempt)
})
