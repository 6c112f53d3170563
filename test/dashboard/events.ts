// A reader of server-sent events, as EventSource is one: the events with their names and ids.

import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import type { Served } from './served.ts'

export interface Sent {
  event: string
  id?: string
  data: unknown
}

export class Reader {
  readonly events: Sent[] = []
  readonly response: IncomingMessage
  raw = ''
  #rest = ''

  constructor(response: IncomingMessage) {
    this.response = response
    response.setEncoding('utf8')
    response.on('error', () => {})
    response.on('data', (chunk: string) => this.#take(chunk))
  }

  of<T>(event: string): T[] {
    return this.events.filter((each) => each.event === event).map(({ data }) => data as T)
  }

  close(): void {
    this.response.destroy()
  }

  #take(chunk: string): void {
    this.raw += chunk
    const parts = (this.#rest + chunk).split('\n\n')
    this.#rest = parts.pop() ?? ''
    for (const part of parts) {
      const fields = Object.fromEntries(part.split('\n').map((line) => line.split(/: (.*)/s).slice(0, 2)))
      if (fields.event === undefined) continue
      const id = fields.id === undefined ? {} : { id: fields.id }
      this.events.push({ event: fields.event, ...id, data: JSON.parse(fields.data) })
    }
  }
}

/** Begins to read at once; `isPaused`: reads nothing until it is resumed. */
export async function follow(
  served: Served,
  path: string,
  more: { isPaused?: boolean; lastEventId?: string } = {},
) {
  const headers = {
    Authorization: `Bearer ${served.token}`,
    ...(more.lastEventId && { 'Last-Event-ID': more.lastEventId }),
  }
  const request = get(`${served.url}/api/v1/${path}`, { headers, agent: false })
  request.on('error', () => {})
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  if (more.isPaused) {
    response.pause()
    return { response, reader: undefined }
  }
  return { response, reader: new Reader(response) }
}
