// What this browser keeps for a person.

/** A browser may refuse to keep anything. */
export function kept(name: string): string | null {
  try {
    return localStorage.getItem(`millhand-${name}`)
  } catch {
    return null
  }
}

export function keep(name: string, value: string): void {
  try {
    localStorage.setItem(`millhand-${name}`, value)
  } catch {
    // It holds until the page is left.
  }
}
