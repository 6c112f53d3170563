// A question before something is done. The larger the damage, the more deliberate the answer: above 1,000
// jobs the number is to be typed.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { count } from '../app/numbers.ts'

export const TYPE_ABOVE = 1_000

export function Dialog({
  title,
  close,
  children,
  wide = false,
}: {
  title: string
  close: () => void
  children: ComponentChildren
  wide?: boolean
}) {
  const ref = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const dialog = ref.current
    dialog?.showModal()
    return () => dialog?.close()
  }, [])
  return (
    <dialog ref={ref} class={wide ? 'wide' : undefined} aria-label={title} onClose={close}>
      {children}
    </dialog>
  )
}

export interface Question {
  title: string
  /** What will happen, and whether it can be undone. */
  text: ComponentChildren
  verb: string
  /** How many jobs; above 1,000 the number is to be typed. */
  jobs: number
  isDangerous?: boolean
  asksReason?: boolean
  run: (reason: string) => void | Promise<void>
}

export function Confirm({ question, close }: { question: Question; close: () => void }) {
  const { title, text, verb, jobs, isDangerous, asksReason, run } = question
  const [typed, setTyped] = useState('')
  const [reason, setReason] = useState('')
  const isLarge = jobs > TYPE_ABOVE
  const isSure = !isLarge || typed.replaceAll(/[,\s.]/g, '') === String(jobs)
  const answer = (event: Event) => {
    event.preventDefault()
    if (!isSure) return
    close()
    void run(reason.trim())
  }
  return (
    <Dialog title={title} close={close}>
      <form onSubmit={answer}>
        <h2>{title}</h2>
        <div>{text}</div>
        {isLarge && (
          <label>
            Type {count(jobs)} to go on
            <input
              class="field"
              inputMode="numeric"
              autocomplete="off"
              value={typed}
              onInput={(event) => setTyped(event.currentTarget.value)}
            />
          </label>
        )}
        {asksReason && (
          <label>
            Why (optional, kept in the record)
            <input
              class="field"
              maxLength={200}
              value={reason}
              onInput={(event) => setReason(event.currentTarget.value)}
            />
          </label>
        )}
        <div class="actions">
          <button type="button" class="button" onClick={close}>
            Keep as it is
          </button>
          <button type="submit" class={`button ${isDangerous ? 'dangerous' : 'primary'}`} disabled={!isSure}>
            {verb}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
