// What a child asks its worker: a call has a verb and a JSON value, and gets an answer or an error
// (PROTOCOL.md). entry.ts sends the calls and hands in the answers.
import type { FromChild, ToChild } from '../messages.ts'

type Call = Extract<FromChild, { kind: 'call' }>
type Answer = Extract<ToChild, { kind: 'answer' }>

export class Calls {
  readonly #send: (call: Call) => void
  readonly #open = new Map<number, (answer: Answer) => void>()
  #last = 0

  constructor(send: (call: Call) => void) {
    this.#send = send
  }

  /** `id` is the attempt's. The answer is JSON text; rejects with an Error whose `code` says what it is. */
  ask(id: number, verb: string, body = 'null'): Promise<string> {
    this.#last += 1
    const call = this.#last
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    this.#open.set(call, ({ error, value }) => {
      this.#open.delete(call)
      if (error) reject(Object.assign(new Error(error.message), error))
      else resolve(value)
    })
    this.#send({ kind: 'call', id, call, verb, body })
    return promise
  }

  answered(answer: Answer): void {
    this.#open.get(answer.call)?.(answer)
  }
}
