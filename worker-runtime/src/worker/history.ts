// The observer that adds up attempts for the history of their queues (figures.ts); heartbeats take it there.
import type { Observer } from './observers.ts'

export const addUp: Observer = {
  ended({ consumer, claim, envelope }, outcome) {
    const isFirst = claim.attempt === 1 && claim.crashes === 0
    const readyAtMs = isFirst ? (envelope.dueAtMs ?? envelope.enqueuedAtMs) : undefined
    consumer.figures.ended({ task: envelope.task, readyAtMs, outcome })
  },
}
