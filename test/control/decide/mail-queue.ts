// A TaskQueue as it is parsed, for tests of what is decided for it.
import type { TaskQueue } from '../../../control/src/resources/task-queue.ts'

const retention = { maxAgeMs: 1, maxCount: 1 }
export const queue: TaskQueue = {
  metadata: { name: 'mail', namespace: 'shop', uid: 'u' },
  queueName: 'shop.mail',
  redisSecretName: 'millhand-redis',
  suspend: false,
  retry: { maxAttempts: 1, backoffMs: 1, maxBackoffMs: 1, maxCrashes: 1 },
  timeoutMs: 1,
  maxLength: 1,
  maxPayloadBytes: 1,
  retention: { completed: retention, buried: retention },
  maxEvents: 1,
}
