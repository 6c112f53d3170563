// What Prometheus reads of queues: a number of one tenant that is none is left out, and the others' are there.

import type { SeenQueue } from '../../control/src/redis/seen-queue.ts'
import type { Servers } from '../../control/src/redis/servers.ts'
import { createMetrics } from '../../operator/src/metrics.ts'

function queueWith(name: string, depth: object): SeenQueue {
  const fine = {
    ready: 3,
    busy: 1,
    delayed: 2,
    due: 1,
    buried: 0,
    oldestReadyMs: 5_000,
    oldestBlockedMs: 3_600_000,
    flows: { running: 2, started: 5, completed: 1, failed: 2, cancelled: 0 },
    counts: { vanished: 0, expired: 0 },
  }
  return {
    name,
    namespace: name,
    isReachable: true,
    lastView: { depth: { ...fine, ...depth } },
  } as unknown as SeenQueue
}

test.each<[string, object]>([
  ['a text', { busy: 'x', ready: '7', oldestReadyMs: 'old' }],
  [
    'not a number',
    {
      busy: Number.NaN,
      buried: Number.POSITIVE_INFINITY,
      flows: { running: Number.NaN, started: Number.NaN, failed: 'x' },
      counts: { vanished: Number.NaN, expired: Number.NaN },
    },
  ],
  ['less than nothing', { busy: -5, due: 100, oldestReadyMs: -1, counts: { vanished: -1, expired: -1 } }],
  ['nothing at all', { busy: undefined, buried: null, counts: {} }],
])('%s is left out', async (_what, depth) => {
  const queues = [queueWith('bad', depth), queueWith('good', {})]
  const metrics = createMetrics({
    namespaces: () => [],
    leaseName: 'millhand',
    servers: () => ({ queues }) as unknown as Servers,
    taskQueueOf: ({ name }) => name,
    wallMs: () => Date.now(),
  })
  const { text } = await metrics.read()
  expect(text).toContain('millhand_queue_jobs{namespace="good",queue="good",state="ready"} 3')
  expect(text).toContain('millhand_queue_jobs{namespace="good",queue="good",state="delayed"} 2')
  expect(text).toContain('millhand_queue_oldest_job_age_seconds{namespace="good",queue="good"} 5')
  expect(text).toContain('millhand_queue_vanished_enqueues_total{namespace="good",queue="good"} 0')
  expect(text).toContain('millhand_flows_running{namespace="good",queue="good"} 2')
  expect(text).toContain('millhand_flows_started_total{namespace="good",queue="good"} 5')
  expect(text).toContain('millhand_flows_ended_total{namespace="good",queue="good",outcome="failed"} 2')
  expect(text).not.toContain('millhand_queue_jobs{namespace="bad",queue="bad",state="busy"}')
  const ofQueues = text.split('\n').filter((line) => /^millhand_(queue|flows)_/.test(line))
  expect(ofQueues.filter((line) => !/ \d+$/.test(line))).toEqual([])
})
