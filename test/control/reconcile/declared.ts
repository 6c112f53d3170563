// A TaskQueue as the API server has it, defaults filled in.

import type { TaskQueueObject } from '../../../control/src/resources/task-queue.ts'

export const ownerName = () => 'the owner of a test'

interface Declared {
  name?: string
  uid?: string
  queueName?: string
  secretName?: string
  formerOwner?: string
}

export function declared({
  name = 'mail',
  uid = 'u',
  queueName,
  secretName,
  formerOwner,
}: Declared = {}): TaskQueueObject {
  const kept = { maxAgeSeconds: 60, maxCount: 10 }
  return {
    metadata: { namespace: 'shop', name, uid, generation: 1 },
    spec: {
      ...(queueName && { queueName }),
      ...(secretName && { redis: { secretRef: { name: secretName } } }),
      ...(formerOwner && { takeOver: { ownerUID: formerOwner } }),
      suspend: false,
      limits: { maxLength: 100, maxPayload: 1_000 },
      retry: { maxAttempts: 3, maxCrashes: 3, backoff: { baseSeconds: 5, maxSeconds: 60 } },
      timeoutSeconds: 60,
      retention: { completed: kept, buried: kept },
      events: { maxCount: 100 },
    },
  }
}
