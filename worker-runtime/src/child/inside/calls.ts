// The calls of a child to its worker: a call has a verb and a JSON value, and gets an answer or an error
// (PROTOCOL.md). entry.ts sends the calls and passes the answers in.
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

  /** `id`: of the attempt. Resolves to JSON text; rejects with an Error that has a `code`. */
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
