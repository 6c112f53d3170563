// How a person wants to see the pages: kept in this browser only.
import { signal } from '@preact/signals'
import { keep, kept } from './kept.ts'

export const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

export const theme = signal<Theme>(readTheme())
export const isUtc = signal(kept('zone') === 'utc')
export const keysAreOff = signal(kept('keys') === 'off')
/** Whether the pages follow what happens. */
export const isLive = signal(true)

export function setTheme(next: Theme): void {
  theme.value = next
  keep('theme', next)
  showTheme()
}

export function setUtc(next: boolean): void {
  isUtc.value = next
  keep('zone', next ? 'utc' : 'local')
}

export function setKeysOff(next: boolean): void {
  keysAreOff.value = next
  keep('keys', next ? 'off' : 'on')
}

export function showTheme(): void {
  const root = document.documentElement
  if (theme.value === 'system') root.removeAttribute('data-theme')
  else root.setAttribute('data-theme', theme.value)
}

function readTheme(): Theme {
  const found = kept('theme')
  return THEMES.find((each) => each === found) ?? 'system'
}
