// Short messages about what was done, with an undo where there is one.
import { signal } from '@preact/signals'

export interface Toast {
  id: number
  text: string
  tone: 'good' | 'bad' | 'plain'
  action?: { label: string; run: () => void } | undefined
}

export const toasts = signal<readonly Toast[]>([])
let last = 0
const STAY_MS = { good: 6_000, plain: 6_000, bad: 15_000 }

export function say(
  text: string,
  tone: Toast['tone'] = 'plain',
  { action, stayMs }: { action?: Toast['action']; stayMs?: number } = {},
): void {
  last += 1
  const toast = { id: last, text, tone, action }
  toasts.value = [...toasts.value.slice(-3), toast]
  setTimeout(() => unsay(toast.id), stayMs ?? (action ? 12_000 : STAY_MS[tone]))
}

export function unsay(id: number): void {
  toasts.value = toasts.value.filter((each) => each.id !== id)
}
