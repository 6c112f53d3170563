// The live output of a job. Its worker sends lines only while somebody watches, and nobody keeps them.
import { type OutputEvent, reasonOf } from 'millhand/queue'
import { LinesDropped, OutputLine, StateNow } from '../../api.ts'
import type { Redactor } from '../access/redact.ts'
import { refusalOf } from '../refused.ts'
import { type Call, type Route, stream } from '../route.ts'
import { frameOf, type Viewer } from '../viewers.ts'
import { jobNotFound, taskQueueOf } from './resources.ts'

type Events = AsyncGenerator<OutputEvent>

export const outputRoutes: readonly Route[] = [
  stream({
    method: 'GET',
    path: '/queues/{namespace}/{name}/jobs/{id}/output',
    summary: 'The last lines of a running job and each new one, until the job has ended',
    permission: { resource: 'jobs/output', verb: 'get' },
    events: { line: OutputLine, dropped: LinesDropped, state: StateNow },
    open: async (call, viewer) => {
      const { path, parts, signal } = call
      const events = await parts.looks.output(taskQueueOf(call), path.id ?? '', signal)
      // The state of the job: until then an error is an answer of its own.
      const first = await events.next()
      if (first.done) return
      if (isUnknown(first.value)) {
        await events.return(undefined)
        throw jobNotFound(call)
      }
      await viewer.sendEvent(frameOfEvent(first.value, parts.redact))
      void pass(events, viewer, call)
    },
  }),
]

/** While the viewer does not read, the oldest lines are dropped. */
async function pass(events: Events, viewer: Viewer, call: Call): Promise<void> {
  const { path, parts } = call
  try {
    for await (const event of events) {
      if (isUnknown(event)) return viewer.end('JOB_NOT_FOUND', jobNotFound(call).message)
      await viewer.sendEvent(frameOfEvent(event, parts.redact))
    }
    viewer.end('JOB_ENDED', `job ${path.id} has ended: there is no more output`)
  } catch (error) {
    const queue = `${path.namespace}/${path.name}`
    parts.log.warn('cannot follow the output of a job', { queue, job: path.id, error: reasonOf(error) })
    viewer.end(refusalOf(error)?.code ?? 'OUTPUT_FAILS', reasonOf(error))
  }
}

const isUnknown = (event: OutputEvent): boolean => event.kind === 'state' && event.state === 'unknown'

function frameOfEvent({ kind, ...data }: OutputEvent, redact: Redactor): Buffer {
  return frameOf(kind, 'line' in data ? { ...data, line: redact.text(data.line) } : data)
}
