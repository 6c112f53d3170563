// What happens in a queue, as it happens.
import { QueueEvent } from '../../api.ts'
import { type Route, stream } from '../route.ts'
import { queueOf } from './resources.ts'

export const eventRoutes: readonly Route[] = [
  stream({
    method: 'GET',
    path: '/queues/{namespace}/{name}/events',
    summary: 'The events of a queue; with Last-Event-ID from there on, as far as they are kept',
    permission: { resource: 'jobs', verb: 'list' },
    events: { change: QueueEvent },
    open: async (call, viewer, lastEventId) => {
      const queue = await queueOf(call)
      call.parts.feeds.join(queue, viewer, lastEventId)
    },
  }),
]
