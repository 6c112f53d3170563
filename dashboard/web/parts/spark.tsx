// A small line of the last values, with a gap where there was none.
export function Spark({
  values,
  label,
  tone,
}: {
  values: readonly (number | null)[]
  label: string
  tone?: string
}) {
  const known = values.filter((value) => value !== null)
  if (known.length < 2) return <div class="spark" aria-hidden="true" />
  const most = Math.max(...known, 1e-9)
  const width = Math.max(1, values.length - 1)
  const points = values.flatMap((value, n) =>
    value === null ? [] : [`${n},${(27 - (25 * value) / most).toFixed(1)}`],
  )
  const [first = '0', last = '0'] = [points[0]?.split(',')[0], points.at(-1)?.split(',')[0]]
  return (
    <svg
      class={`spark ${tone ? `s-${tone}` : ''}`}
      viewBox={`0 0 ${width} 28`}
      preserveAspectRatio="none"
      role="img"
      aria-label={label}
    >
      <polygon points={`${first},28 ${points.join(' ')} ${last},28`} />
      <polyline points={points.join(' ')} />
    </svg>
  )
}

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
