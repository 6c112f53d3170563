// The jobs that went back without a failure, by the events of their queue. Each is claimed once more.
import type { Queue } from 'millhand/queue'

/**
 * How many claims there were for so many attempts. On a busy machine the answer to a claim may be lost: then no attempt
 * began. Any other hand back is a failure of the test.
 */
export async function claimsOf(queue: Queue, attempts: number): Promise<number> {
  const reasons: string[] = []
  for await (const { changes } of queue.events({ after: '0', follow: false }))
    for (const { kind, jobs } of changes)
      if (kind === 'handed-back')
        reasons.push(...jobs.map(({ outcome = 'its attempt was ended' }) => outcome))
  expect(reasons.filter((reason) => reason !== 'answer-lost')).toEqual([])
  return attempts + reasons.length
}
