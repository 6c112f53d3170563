// Live output of a job, for millhand job --follow: its lines on standard output, the rest on standard error.
import type { OutputEvent, Queue } from 'millhand/queue'
import type { Context } from './context.ts'
import { jsonLine, oneLine } from './printable.ts'
import type { Server } from './server.ts'

/** Resolves when the job has ended, or at Ctrl-C. */
export async function follow(
  { queue, id, json = false }: { queue: Queue; id: string; json?: boolean | undefined },
  server: Server,
  context: Context,
): Promise<void> {
  const stopping = new AbortController()
  context.onStop((times) => (times > 1 ? context.leave(1) : stopping.abort()))
  const events = queue.output(id, { messages: server.messages(), signal: stopping.signal })
  for await (const event of events) {
    if (json) context.print(jsonLine(event))
    else show(event, context)
  }
}

function show(event: OutputEvent, context: Context): void {
  if (event.kind === 'line') context.print(oneLine(event.line))
  else if (event.kind === 'dropped') context.note(`${event.lines} lines left out: too many came at once`)
  else context.note(`job is ${event.state}`)
}
