// Waits for a condition that some other process brings about. The deadline is generous; tests never depend on how fast it comes.
export async function eventually<T>(
  look: () => T | Promise<T>,
  { withinMs = 15_000, everyMs = 20, what = 'the condition' } = {},
): Promise<NonNullable<T>> {
  const giveUpAt = Date.now() + withinMs
  let lastError: unknown
  for (;;) {
    // Whoever stood still until the deadline looks once more.
    const isLast = Date.now() > giveUpAt
    try {
      const seen = await look()
      if (seen) return seen
    } catch (error) {
      lastError = error
    }
    if (isLast) throw new Error(`${what} did not come true within ${withinMs} ms`, { cause: lastError })
    await new Promise((resolve) => setTimeout(resolve, everyMs))
  }
}
