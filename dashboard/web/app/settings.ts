// How a person wants to see the pages: kept in this browser only.
import { signal } from '@preact/signals'

export const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

export const theme = signal<Theme>(readTheme())
export const isUtc = signal(read('zone') === 'utc')
export const keysAreOff = signal(read('keys') === 'off')
/** Whether the pages follow what happens. */
export const isLive = signal(true)

export function setTheme(next: Theme): void {
  theme.value = next
  write('theme', next)
  showTheme()
}

export function setUtc(next: boolean): void {
  isUtc.value = next
  write('zone', next ? 'utc' : 'local')
}

export function setKeysOff(next: boolean): void {
  keysAreOff.value = next
  write('keys', next ? 'off' : 'on')
}

export function showTheme(): void {
  const root = document.documentElement
  if (theme.value === 'system') root.removeAttribute('data-theme')
  else root.setAttribute('data-theme', theme.value)
}

function readTheme(): Theme {
  const found = read('theme')
  return THEMES.find((each) => each === found) ?? 'system'
}

/** A browser may refuse to keep anything. */
function read(name: string): string | null {
  try {
    return localStorage.getItem(`millhand-${name}`)
  } catch {
    return null
  }
}

function write(name: string, value: string): void {
  try {
    localStorage.setItem(`millhand-${name}`, value)
  } catch {
    // It holds until the page is left.
  }
}
