// An AbortSignal that is made when a task first looks at it: most never do.
export class LateSignal {
  #controller: AbortController | undefined
  #reason: string | undefined

  /** Somebody may listen. */
  get isLookedAt(): boolean {
    return this.#controller !== undefined
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    this.#tell()
    return this.#controller.signal
  }

  /** The first reason counts. */
  abort(reason: string): void {
    this.#reason ??= reason
    this.#tell()
  }

  #tell(): void {
    if (this.#reason !== undefined)
      this.#controller?.abort(Object.assign(new Error(this.#reason), { name: 'AbortError' }))
  }
}
