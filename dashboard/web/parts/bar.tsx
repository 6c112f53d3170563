// A bar of parts of a whole.
/** Parts of a whole, each with its colour. */
export function Bar({ parts, label }: { parts: readonly { tone: string; n: number }[]; label: string }) {
  const total = parts.reduce((sum, { n }) => sum + n, 0)
  return (
    <div class="bar" role="img" aria-label={label}>
      {parts.map(({ tone, n }) =>
        n > 0 ? <i key={tone} class={`s-${tone}`} style={{ flexGrow: n / total, flexBasis: '0px' }} /> : null,
      )}
    </div>
  )
}
