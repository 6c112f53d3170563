// The calls of one attempt, on the side of the worker: how many may be open, and their answers when the
// attempt has ended. worker/calls.ts executes them.
import { copyError } from '../errors.ts'
import type { FromChild, ToChild } from './messages.ts'

export type Call = Pick<Extract<FromChild, { kind: 'call' }>, 'verb' | 'body'>

/** A child (child.ts). */
interface Sender {
  send(message: ToChild): void
}

/** An error as the answer; the task can branch on its `code`. */
export class CallRefused extends Error {
  override name = 'CallRefused'
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.code = code
  }
}

export const MOST_OPEN_CALLS = 100
export const MOST_OPEN_CALL_BYTES = 4 * 1024 * 1024

export class Calls {
  readonly #child: Sender
  readonly #answer: (call: Call) => Promise<string>
  readonly #open = new Map<number, { id: number; bytes: number }>()
  #bytes = 0

  constructor(child: Sender, answer: (call: Call) => Promise<string>) {
    this.#child = child
    this.#answer = answer
  }

  async take({ id, call, verb, body }: Extract<FromChild, { kind: 'call' }>): Promise<void> {
    const refusal = this.#whyNot(call, body.length)
    if (refusal) return refuse(this.#child, { id, call }, refusal)
    this.#open.set(call, { id, bytes: body.length })
    this.#bytes += body.length
    try {
      const value = await this.#answer({ verb, body })
      if (this.#close(call)) this.#child.send({ kind: 'answer', id, call, value })
    } catch (error) {
      if (this.#close(call)) refuse(this.#child, { id, call }, error)
    }
  }

  /** The attempt has ended: answers all open calls. */
  end(): void {
    for (const [call, { id }] of this.#open) refuseEnded(this.#child, { id, call })
    this.#open.clear()
  }

  #whyNot(call: number, bytes: number): CallRefused | undefined {
    if (this.#open.has(call)) return new CallRefused('CALL_OPEN', `call ${call} is open already`)
    if (this.#open.size >= MOST_OPEN_CALLS || this.#bytes + bytes > MOST_OPEN_CALL_BYTES)
      return new CallRefused(
        'TOO_MANY_CALLS',
        `an attempt may have ${MOST_OPEN_CALLS} open calls of ${MOST_OPEN_CALL_BYTES} bytes together: await their answers`,
      )
  }

  #close(call: number): boolean {
    this.#bytes -= this.#open.get(call)?.bytes ?? 0
    return this.#open.delete(call)
  }
}

/** The answer to a call of an ended attempt. */
export function refuseEnded(child: Sender, of: { id: number; call: number }): void {
  refuse(child, of, new CallRefused('ATTEMPT_ENDED', 'the attempt that asks has ended'))
}

function refuse(child: Sender, of: { id: number; call: number }, thrown: unknown): void {
  const { name, message, code } = copyError(thrown)
  const { id, call } = of
  child.send({
    kind: 'answer',
    id,
    call,
    error: { name, message, ...(code !== undefined && { code }) },
    value: '',
  })
}
