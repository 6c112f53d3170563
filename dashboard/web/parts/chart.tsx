// A chart with its numbers as a table behind it, for whoever cannot see it, or wants the numbers.
import { useEffect, useRef } from 'preact/hooks'
import type { Line } from '../app/history.ts'
import { isUtc, theme } from '../app/settings.ts'
import { dateAndClock } from '../app/time.ts'
import type { Plot } from './plot.ts'

interface Props {
  title: string
  timesMs: readonly number[]
  lines: readonly Line[]
  text: (value: number) => string
}

export function Chart({ title, timesMs, lines, text }: Props) {
  const place = useRef<HTMLDivElement>(null)
  const drawn = useRef<Plot | undefined>(undefined)
  const newest = useRef({ timesMs, lines })
  newest.current = { timesMs, lines }
  const look = `${theme.value} ${isUtc.value}`
  useEffect(() => {
    let isGone = false
    const draw = async () => {
      const { plot } = await import('./plot.ts')
      if (isGone || !place.current) return
      drawn.current?.remove()
      drawn.current = plot(place.current, newest.current.timesMs, newest.current.lines, text)
    }
    void draw()
    const dark = matchMedia('(prefers-color-scheme: dark)')
    dark.addEventListener('change', draw)
    return () => {
      isGone = true
      dark.removeEventListener('change', draw)
      drawn.current?.remove()
      drawn.current = undefined
    }
  }, [look])
  useEffect(() => drawn.current?.show(timesMs, lines), [timesMs, lines])
  return (
    <figure class="chart" aria-label={title}>
      <div ref={place} aria-hidden="true" />
      <details>
        <summary class="small muted">As a table</summary>
        <Table title={title} timesMs={timesMs} lines={lines} text={text} />
      </details>
    </figure>
  )
}

function Table({ title, timesMs, lines, text }: Props) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys.
    <section class="table-frame numbers" tabIndex={0} aria-label={`${title}: numbers`}>
      <table>
        <thead>
          <tr>
            <th scope="col">Time</th>
            {lines.map(({ label }) => (
              <th key={label} scope="col" class="number">
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {timesMs.map((at, n) => (
            <tr key={at}>
              <td>{dateAndClock(at)}</td>
              {lines.map(({ label, values }) => (
                <td key={label} class="number">
                  {typeof values[n] === 'number' ? text(values[n]) : '–'}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  )
}
