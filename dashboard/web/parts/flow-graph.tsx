// A flow as a graph: what waits stands to the right of what it waits for. It is scrolled like any page; the tree says the same in words.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { FlowLine } from '../../src/api.ts'
import { useKeys } from '../app/keys.ts'
import { drawn, NODE } from '../app/layers.ts'
import { JobName, States } from './flow-tree.tsx'
import { Name } from './show.tsx'

/** More lines are no picture any more. */
export const MOST_DRAWN = 300
const ZOOMS = [0.35, 0.5, 0.7, 0.85, 1, 1.25, 1.5]

export const canBeDrawn = (lines: readonly FlowLine[]): boolean =>
  lines.length > 0 && lines.length <= MOST_DRAWN && lines.every(({ behind }) => behind !== undefined)

/** `marked`: the name of a job that somebody came for. */
export function FlowGraph({ lines, marked }: { lines: readonly FlowLine[]; marked: string | undefined }) {
  const [zoom, setZoom] = useState(1)
  const [looked, lookAt] = useState<number | undefined>(undefined)
  const frame = useRef<HTMLElement>(null)
  const shape = lines.map(({ depth, behind }) => `${depth}:${behind}`).join(' ')
  const { width, height, places, arrows } = useMemo(() => drawn(lines), [shape])
  const step = (by: number) => setZoom((now) => ZOOMS[ZOOMS.indexOf(now) + by] ?? now)
  const fit = () => {
    const { clientWidth = width, clientHeight = height } = frame.current ?? {}
    const most = Math.min(1, clientWidth / width, clientHeight / height)
    setZoom(ZOOMS.findLast((each) => each <= most) ?? ZOOMS[0] ?? 1)
  }
  useKeys([
    { keys: '+', does: 'larger', run: () => step(1) },
    { keys: '-', does: 'smaller', run: () => step(-1) },
    { keys: '0', does: 'the whole graph', run: fit },
  ])
  useEffect(
    () =>
      frame.current?.querySelector('[data-marked]')?.scrollIntoView({ block: 'center', inline: 'center' }),
    [marked],
  )
  const isNear = (from: number, to: number) => looked === from || looked === to
  return (
    <>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys. */}
      <section ref={frame} tabIndex={0} aria-label="Graph" class="graph-window">
        <div style={{ width: `${width * zoom}px`, height: `${height * zoom}px` }}>
          <div
            class="graph"
            style={{ transform: `scale(${zoom})`, width: `${width}px`, height: `${height}px` }}
          >
            <svg width={width} height={height} aria-hidden="true">
              {arrows.map(({ from, to, path }) => (
                <path key={`${from} ${to}`} d={path} data-near={isNear(from, to) || undefined} />
              ))}
            </svg>
            <ol>
              {lines.map((line, n) => (
                <li
                  key={line.name}
                  data-marked={line.name === marked || undefined}
                  style={{
                    left: `${places[n]?.x}px`,
                    top: `${places[n]?.y}px`,
                    width: `${NODE.width}px`,
                    height: `${NODE.height}px`,
                  }}
                  onMouseEnter={() => lookAt(n)}
                  onMouseLeave={() => lookAt(undefined)}
                  onFocusIn={() => lookAt(n)}
                  onFocusOut={() => lookAt(undefined)}
                >
                  <span class="cut">
                    <JobName of={line} />
                  </span>
                  <span class="node-foot">
                    <States of={line} />
                    <span class="cut muted small">
                      <Name of={line.queue ?? line.queueName} />
                    </span>
                  </span>
                </li>
              ))}
            </ol>
          </div>
        </div>
      </section>
      <div class="graph-tools">
        <button
          type="button"
          class="icon-button"
          aria-label="Smaller"
          title="Smaller (-)"
          onClick={() => step(-1)}
        >
          −
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label="Larger"
          title="Larger (+)"
          onClick={() => step(1)}
        >
          +
        </button>
        <button type="button" class="button small" title="The whole graph (0)" onClick={fit}>
          Fit
        </button>
      </div>
    </>
  )
}
