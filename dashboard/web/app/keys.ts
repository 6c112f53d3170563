// Keys: pages say what theirs do while they are shown. None while something is written, none with a modifier
// but Shift.
import { useLayoutEffect, useRef } from 'preact/hooks'
import { keysAreOff } from './settings.ts'

export interface Key {
  /** As it is pressed: `j`, `R`, `Enter`, or two after each other: `g j`. */
  keys: string
  does: string
  run: () => void
}

const shown = new Set<readonly Key[]>()
const CHORD_WITHIN_MS = 1_200
let begun: { key: string; atMs: number } | undefined

export const allKeys = (): Key[] => [...shown].flat()

/** While the caller is shown, from the moment on: a busy browser runs effects long after it has drawn. */
export function useKeys(keys: readonly Key[]): void {
  const current = useRef(keys)
  current.current = keys
  useLayoutEffect(() => {
    const entry: Key[] = current.current.map((key, n) => ({
      ...key,
      run: () => current.current[n]?.run(),
    }))
    shown.add(entry)
    return () => {
      shown.delete(entry)
    }
  }, [keys.map((key) => key.keys).join(' ')])
}

export function listenToKeys(): void {
  addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || isWriting(event)) return
    if (keysAreOff.value && event.key !== '?') return
    const wasBegun = begun && event.timeStamp - begun.atMs < CHORD_WITHIN_MS ? begun.key : undefined
    begun = undefined
    const all = allKeys()
    const found =
      all.findLast(({ keys }) => keys === `${wasBegun} ${event.key}`) ??
      (wasBegun ? undefined : all.findLast(({ keys }) => keys === event.key))
    if (found) {
      event.preventDefault()
      found.run()
    } else if (all.some(({ keys }) => keys.startsWith(`${event.key} `)))
      begun = { key: event.key, atMs: event.timeStamp }
  })
}

/** In a field, in a dialog, or on a control that means this key itself. */
function isWriting({ target, key }: KeyboardEvent): boolean {
  if (!(target instanceof HTMLElement)) return false
  if (target.closest('dialog')) return true
  if (target instanceof HTMLInputElement && target.type === 'checkbox') return key === ' ' || key === 'Enter'
  if (target.closest('input, textarea, select, [contenteditable]')) return true
  return (key === 'Enter' || key === ' ') && target.closest('a, button, summary') !== null
}
