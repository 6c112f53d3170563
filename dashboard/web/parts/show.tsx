// Single things as every page shows them: a moment, a name that may be anything, a copied text.
import type { ComponentChildren } from 'preact'
import { useState } from 'preact/hooks'
import { clock, duration, exactly, isTime, now, when } from '../app/time.ts'
import { say } from '../app/toasts.ts'
import { Icon } from './icons.tsx'

/** "12 s ago", with everything about the moment on hover. */
export function When({ atMs, plain = false }: { atMs: number | undefined; plain?: boolean }) {
  if (atMs === undefined || !isTime(atMs)) return <span class="muted">–</span>
  return (
    <time dateTime={new Date(atMs).toISOString()} title={exactly(atMs)} class="nowrap">
      {plain ? clock(atMs) : when(atMs, now.value)}
    </time>
  )
}

/** How long it is since then; it goes on. */
export function Since({ atMs }: { atMs: number }) {
  return (
    <time dateTime={new Date(atMs).toISOString()} title={exactly(atMs)} class="nowrap">
      {duration(Math.floor((now.value - atMs) / 1_000) * 1_000)}
    </time>
  )
}

/** Control characters are shown, and the direction of the text stays ours. */
export const visible = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are looked for.
  text.replaceAll(/[\u0000-\u001f\u007f]/g, (found) =>
    found === '\u007f' ? '␡' : String.fromCharCode(0x2400 + found.charCodeAt(0)),
  )

export function Name({ of, mono = false }: { of: string; mono?: boolean }) {
  return (
    <bdi class={mono ? 'mono' : undefined} title={of.length > 24 ? of.slice(0, 1_000) : undefined}>
      {visible(of.length > 300 ? `${of.slice(0, 300)}…` : of) || '(no name)'}
    </bdi>
  )
}

/** In a list of class `facts`. */
export function Fact({ name, children }: { name: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  )
}

/** A longer text, with its lines; `children` where parts of it look different. */
export function Lines({ of, what, children }: { of: string; what: string; children?: ComponentChildren }) {
  const lines = of.split('\n').map((line) => visible(line.replaceAll('\t', '  ')))
  return (
    <div class="text-frame">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keys. */}
      <section class="text" tabIndex={0} aria-label={what}>
        <pre>{children ?? lines.join('\n')}</pre>
      </section>
      <Copy text={of} what={what} />
    </div>
  )
}

export function Copy({ text, what }: { text: string; what: string }) {
  const [isDone, setDone] = useState(false)
  const copy = async () => {
    if (!(await copied(text))) return say('The browser refused to copy.', 'bad')
    setDone(true)
    setTimeout(() => setDone(false), 1_500)
  }
  return (
    <button
      type="button"
      class="icon-button"
      onClick={copy}
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
    >
      <Icon name={isDone ? 'completed' : 'copy'} />
    </button>
  )
}

/** Over plain HTTP a browser has no clipboard for pages: then the old way. */
async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    const field = document.createElement('textarea')
    field.value = text
    document.body.append(field)
    field.select()
    const isDone = document.execCommand('copy')
    field.remove()
    return isDone
  }
}
