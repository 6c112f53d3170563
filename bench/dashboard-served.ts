// The process that bench/dashboard.ts asks: a dashboard over one queue, of the Redis whose address is its argument.
// It is a process of its own, so that its memory and processor time can be measured, and it loads nothing that the
// operator does not load. ioredis above all: it has a class that extends String, after which V8 does not inline
// methods of strings any more, and a loop over charCodeAt takes 2.5 times as long in the whole process.
import { openFence } from '@millhand/control/engine/fence'
import { Objects } from '@millhand/control/objects'
import { inSecret } from '@millhand/control/redis/problems'
import { Servers } from '@millhand/control/redis/servers'
import { checkAgainstSchema } from '@millhand/control/resources/schema'
import { loadSchemas } from '@millhand/control/resources/schemas'
import type { TaskQueueObject } from '@millhand/control/resources/task-queue'
import { localAccess } from '@millhand/dashboard/server/access/local'
import { listenLocally } from '@millhand/dashboard/server/listen'
import { dashboardServer } from '@millhand/dashboard/server/server'
import { silent } from 'millhand/queue'

const [address = ''] = process.argv.slice(2)
await serve(address)

async function serve(url: string): Promise<void> {
  const times = { nowMs: () => performance.now(), wallMs: () => Date.now() }
  const reach = {
    addressOf: async () => ({ kind: 'address', access: { url } }) as const,
    wordsFor: () => inSecret({ secretName: 'millhand-redis' }),
    isDenied: () => false,
    forget: () => {},
  }
  const servers = new Servers({
    ...times,
    reach,
    name: 'bench',
    onStirred: () => {},
    fence: openFence,
    log: silent,
  })
  const objects = new Objects({ look: () => {} })
  objects.change('TaskQueue', { key: 'default/big', now: taskQueue() })
  const { access, token } = localAccess({ ...times, log: silent })
  const plant = {
    kind: 'up',
    get: objects.get.bind(objects),
    list: objects.list.bind(objects),
    find: objects.find.bind(objects),
    open: servers.open.bind(servers),
  } as const
  const { port } = await listenLocally(dashboardServer({ ...times, plant, access, log: silent }), 0)
  process.on('message', () => {
    global.gc?.()
    const { user, system } = process.cpuUsage()
    process.send?.({ rssBytes: process.memoryUsage.rss(), cpuMs: (user + system) / 1_000 })
  })
  process.send?.({ url: `http://127.0.0.1:${port}/api/v1/`, token })
}

function taskQueue(): TaskQueueObject {
  const metadata = { namespace: 'default', name: 'big', uid: 'uid' }
  const manifest = { apiVersion: 'millhand.dev/v1beta1', kind: 'TaskQueue', metadata, spec: {} }
  const { value } = checkAgainstSchema(manifest, loadSchemas().TaskQueue)
  const when = { observedGeneration: 1, lastTransitionTime: new Date().toISOString() }
  const ready = {
    type: 'Ready',
    status: 'True',
    reason: 'Ready',
    message: 'the queue is ready',
    ...when,
  } as const
  const status = { observedGeneration: 1, queueName: 'default.big', conditions: [ready] }
  return { ...(value as TaskQueueObject), status }
}
