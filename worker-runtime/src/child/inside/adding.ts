// job.add of one attempt: jobs that a task adds to the flow of its job. The worker names them by the job and
// a number, so that an attempt that adds the same ones in the same order adds none twice.
import { MAX_SAVED_BYTES } from '../messages.ts'
import { encodeValue } from './values.ts'

/** Asks the worker (calls.ts). */
type Ask = (verb: string, body?: string) => Promise<string>

export class Adding {
  readonly #ask: Ask
  #added = 0

  constructor(ask: Ask) {
    this.#ask = ask
  }

  async add(queue: string, task: string, input: unknown, options: object): Promise<string> {
    const number = this.#added
    this.#added += 1
    const json = encodeValue({ number, queue, task, input, options }, `the job that is added to ${queue}`)
    const bytes = Buffer.byteLength(json)
    if (bytes > MAX_SAVED_BYTES)
      throw Object.assign(
        new RangeError(
          `the input of ${task} has ${bytes} bytes; a job that is added has at most ${MAX_SAVED_BYTES}: store the data elsewhere and add where it is`,
        ),
        { code: 'PAYLOAD_TOO_LARGE' },
      )
    return JSON.parse(await this.#ask('add', json))
  }
}
