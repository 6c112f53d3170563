// A TaskQueue as the API server has it, defaults filled in.

import type { TaskQueueObject } from '../../../control/src/resources/task-queue.ts'

interface Declared {
  name?: string
  uid?: string
  queueName?: string
  secretName?: string
}

export function declared({
  name = 'mail',
  uid = 'u',
  queueName,
  secretName,
}: Declared = {}): TaskQueueObject {
  const kept = { maxAgeSeconds: 60, maxCount: 10 }
  return {
    metadata: { namespace: 'shop', name, uid, generation: 1 },
    spec: {
      ...(queueName && { queueName }),
      ...(secretName && { redis: { secretRef: { name: secretName } } }),
      suspend: false,
      retry: { maxAttempts: 3, backoffSeconds: 5, maxBackoffSeconds: 60, maxCrashes: 3 },
      timeoutSeconds: 60,
      maxLength: 100,
      maxPayloadBytes: 1_000,
      retention: { completed: kept, buried: kept },
    },
  }
}
