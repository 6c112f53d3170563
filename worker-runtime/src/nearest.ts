// The valid name that is nearest to a mistyped one, for each "did you mean".

/** Undefined when no name is near enough. */
export function nearest(name: string, valid: readonly string[]): string | undefined {
  const wanted = name.toLowerCase()
  const ranked = valid
    .map((candidate) => ({ candidate, distance: distance(wanted, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  const farthest = Math.max(1, Math.floor(name.length / 3))
  return best && best.distance <= farthest ? best.candidate : undefined
}

/** The number of letters to add, remove, change or swap with a neighbour (Damerau-Levenshtein). */
function distance(from: string, to: string): number {
  const rows: number[][] = [Array.from({ length: to.length + 1 }, (_, column) => column)]
  for (let row = 1; row <= from.length; row++) {
    const previous = rows[row - 1] ?? []
    const current = [row]
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1]
      const swapped =
        row > 1 && column > 1 && from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1]
      current[column] = Math.min(
        (previous[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (previous[column - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (rows[row - 2]?.[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      )
    }
    rows.push(current)
  }
  return rows[from.length]?.[to.length] ?? Number.POSITIVE_INFINITY
}
