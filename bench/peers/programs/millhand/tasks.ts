// The tasks of the bench, for real workers.
import { task } from 'millhand'
import type { Data } from '../node/producing.ts'
import { perform, recordNow, recordSoon } from '../node/recording.ts'

const record = process.env.BENCH_ONE_JOB === '1' ? recordNow : recordSoon

export const noOp = task('no-op', async ({ n }: Data, job) => {
  record(n)
  await perform(n, job.attempt)
})

/** When its first line ran, on the clock that all processes share. */
export const whenStarted = task('when-started', () => Number(process.hrtime.bigint()) / 1e6)
