// job.step, job.checkpoint and job.lastCheckpoint of one attempt. It asks for the saved values once, when the
// task first needs them.
import { MAX_SAVED_BYTES } from '../messages.ts'
import { encodeValue } from './values.ts'

/** Asks the worker (calls.ts). */
type Ask = (verb: string, body?: string) => Promise<string>

interface Saved {
  steps: Record<string, unknown>
  checkpoint?: unknown
}

const NAME = /^[A-Za-z0-9:._-]{1,100}$/

export class Steps {
  readonly #ask: Ask
  #saved: Promise<Saved> | undefined
  /** The checkpoint of this attempt, as JSON text. */
  #checkpoint: string | undefined
  /** The steps that this attempt runs, has run, or has found saved. */
  readonly #named = new Set<string>()

  constructor(ask: Ask) {
    this.#ask = ask
  }

  async step(name: string, work: () => unknown): Promise<unknown> {
    this.#check(name, work)
    this.#named.add(name)
    try {
      const { steps } = await this.#allSaved()
      if (Object.hasOwn(steps, name)) return steps[name]
      const json = encoded(await work(), `the value of step "${name}"`)
      await this.#ask('step', `[${JSON.stringify(name)},${json}]`)
      return JSON.parse(json)
    } catch (error) {
      this.#named.delete(name) // the task may try it again
      throw error
    }
  }

  checkpoint(value: unknown): Promise<void> {
    const saving = this.#save(value)
    saving.catch(() => {}) // a task that does not await it may have ended already
    return saving
  }

  async lastCheckpoint(): Promise<unknown> {
    if (this.#checkpoint !== undefined) return JSON.parse(this.#checkpoint)
    return structuredClone((await this.#allSaved()).checkpoint)
  }

  async #save(value: unknown): Promise<void> {
    const json = encoded(value, 'the checkpoint')
    await this.#ask('checkpoint', json)
    this.#checkpoint = json
  }

  #check(name: unknown, work: unknown): void {
    if (typeof name !== 'string' || !NAME.test(name))
      throw new TypeError(`invalid step name ${JSON.stringify(name)}: use 1 to 100 of A-Z a-z 0-9 : . _ -`)
    if (typeof work !== 'function')
      throw new TypeError(`step "${name}": the second argument must be a function`)
    if (this.#named.has(name))
      throw new TypeError(
        `step "${name}" stands twice in one attempt: give each step a name of its own, in a loop with its number`,
      )
  }

  #allSaved(): Promise<Saved> {
    this.#saved ??= this.#read()
    return this.#saved
  }

  async #read(): Promise<Saved> {
    try {
      return JSON.parse(await this.#ask('saved')) as Saved
    } catch (error) {
      this.#saved = undefined
      throw error
    }
  }
}

/** A larger frame would end the child. */
function encoded(value: unknown, what: string): string {
  const json = encodeValue(value, what)
  const bytes = Buffer.byteLength(json)
  if (bytes <= MAX_SAVED_BYTES) return json
  const message = `${what} has ${bytes} bytes; at most ${MAX_SAVED_BYTES} are kept of a job: store the data elsewhere and save where it is`
  throw Object.assign(new RangeError(message), { code: 'SAVED_TOO_LARGE' })
}
