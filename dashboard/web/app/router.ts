// The address is the state of a page: its path, and in the query the filter, the tab and the time range.
// Links are relative to <base>, so that the pages work under any path.
import { computed, signal } from '@preact/signals'

const base = new URL(document.baseURI).pathname
const isOurs = (url: URL) => url.origin === location.origin && url.pathname.startsWith(base)

const address = signal(location.href)
const url = computed(() => new URL(address.value))

/** The decoded parts of the path below <base>. */
export const path = computed(() =>
  url.value.pathname.slice(base.length).split('/').filter(Boolean).map(decoded),
)
export const query = computed(() => url.value.searchParams)

/** A link to a page; parts of the path may be anything a user named. */
export function to(
  parts: readonly string[],
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const said = Object.entries(query).filter((each): each is [string, string] => Boolean(each[1]))
  const search = new URLSearchParams(said).toString()
  // `./` keeps a first part with a colon from being read as a scheme.
  return `./${parts.map(encodedPart).join('/')}${search && `?${search}`}`
}

/** The same page with other values in the query; undefined removes one. */
export function here(changes: Readonly<Record<string, string | undefined>>): string {
  const said = Object.fromEntries(query.value)
  return to(path.value, { ...said, ...changes })
}

export function go(href: string, { replace = false } = {}): void {
  const next = new URL(href, document.baseURI)
  if (next.href === address.value) return
  const isNewPage = next.pathname !== url.value.pathname
  history[replace ? 'replaceState' : 'pushState'](null, '', next)
  address.value = next.href
  if (isNewPage) enterPage()
}

/** Links of ours are followed without loading the page again. */
export function followLinks(): void {
  addEventListener('popstate', () => {
    address.value = location.href
  })
  addEventListener('click', (event) => {
    const link = event.target instanceof Element ? event.target.closest('a') : null
    if (!link || event.defaultPrevented || event.button !== 0 || link.target || link.hasAttribute('download'))
      return
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    const next = new URL(link.href)
    if (!isOurs(next) || next.pathname.startsWith(`${base}api/`)) return
    event.preventDefault()
    go(next.href)
  })
}

/** What a screen reader and the keyboard find first on a new page. */
function enterPage(): void {
  scrollTo(0, 0)
  requestAnimationFrame(() => document.querySelector<HTMLElement>('main')?.focus({ preventScroll: true }))
}

/**
 * A browser resolves `.` and `..`, however they are written: they are encoded twice, as what cannot be a
 * name.
 */
export const encodedPart = (part: string) =>
  /^\.{1,2}$/.test(part) ? part.replaceAll('.', '%252e') : encodeURIComponent(part)

function decoded(part: string): string {
  if (/^(%252e){1,2}$/i.test(part)) return part.replaceAll(/%252e/gi, '.')
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
