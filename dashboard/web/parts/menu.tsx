// What opens below a button, and closes by Escape or a click elsewhere.
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'

export function Menu({
  label,
  face,
  isIcon = false,
  children,
}: {
  /** Its name, where the face has no words. */
  label?: string
  face: ComponentChildren
  isIcon?: boolean
  children: (close: () => void) => ComponentChildren
}) {
  const [isOpen, open] = useState(false)
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (!isOpen) return
    const outside = (event: Event) => {
      if (!ref.current?.contains(event.target as globalThis.Node)) open(false)
    }
    // Before the keys of the page hear of it.
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== 'Escape') return
      event.stopPropagation()
      open(false)
      ref.current?.querySelector('button')?.focus()
    }
    addEventListener('pointerdown', outside)
    addEventListener('keydown', onKey, true)
    return () => {
      removeEventListener('pointerdown', outside)
      removeEventListener('keydown', onKey, true)
    }
  }, [isOpen])
  return (
    <div class="menu" ref={ref}>
      <button
        type="button"
        class={isIcon ? 'icon-button' : 'button'}
        aria-label={label}
        aria-expanded={isOpen}
        onClick={() => open(!isOpen)}
      >
        {face}
      </button>
      {isOpen && <div>{children(() => open(false))}</div>}
    </div>
  )
}
