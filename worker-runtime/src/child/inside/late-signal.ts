// An AbortSignal that is made at its first use: most tasks never use it.
export class LateSignal {
  #controller: AbortController | undefined
  #reason: string | undefined

  /** Whether somebody may listen. */
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
