// The processor file that a sandboxed worker's processes run.
import type { Job } from 'bullmq'
import type { Data } from '../node/producing.ts'
import { perform, recordSoon } from '../node/recording.ts'

export default async function process({ data, attemptsMade }: Job<Data>): Promise<void> {
  recordSoon(data.n)
  await perform(data.n, attemptsMade + 1)
}
