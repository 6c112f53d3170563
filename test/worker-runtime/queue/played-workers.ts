// A worker of several queues without processes: it claims, ends each job as a test says, and forwards.
import type { Queue } from 'millhand/queue'
import { parseEnvelope } from '../../../worker-runtime/src/job.ts'

/** To be registered in each queue. */
export const PLAYED = {
  ...{ worker: 'p:1', process: 'p', podUid: 'u', pod: '', poolUid: '', node: '' },
  ...{ slots: 9, isolation: 'Spawn', isolationNote: '', version: '0' },
}

export interface Ran {
  /** The id without the flow. */
  job: string
  task: string
  input: unknown
}
/** Answers the result of a job, or throws. */
export type Play = (ran: Ran) => unknown

/** Until no job is left, or so many have run; answers what ran, in order. */
export async function playWorkers(
  queues: readonly Queue[],
  play: Play = ({ task }) => task,
  most = Number.POSITIVE_INFINITY,
): Promise<Ran[]> {
  const ran: Ran[] = []
  for (let isBusy = true; isBusy && ran.length < most; ) {
    isBusy = false
    for (const queue of queues) {
      await queue.forward()
      const wanted = Math.min(100, most - ran.length)
      const { claims } = await queue.settleAndClaim({ worker: PLAYED.worker, wanted })
      isBusy ||= claims.length > 0
      const settlements = claims.map(({ id, token, envelope }) => {
        const { task = '', payload = '' } = parseEnvelope(envelope) ?? {}
        const job = { job: id.slice(id.indexOf(':') + 1), task, input: JSON.parse(payload || 'null') }
        ran.push(job)
        try {
          const text = `1 ${task} 1\n${JSON.stringify(play(job) ?? null)}`
          return { id, token, verdict: 'completed' as const, text }
        } catch {
          return { id, token, verdict: 'failed' as const, text: '{"outcome":"failed"}' }
        }
      })
      await queue.settleAndClaim({ worker: PLAYED.worker, settlements })
      await queue.forward()
    }
  }
  return ran
}
