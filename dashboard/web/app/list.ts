// A list that never moves by itself: known rows are renewed where they stand, and new ones are counted until
// they are asked for. It rests while something is selected.
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, get } from './api.ts'
import { freshIn } from './fresh.ts'
import { isLive } from './settings.ts'

export interface Page<Row> {
  rows: readonly Row[]
  cursor: string | undefined
  scanned: number
  isDone: boolean
  total: number | undefined
  /** Queues that could not be read. */
  unread: readonly string[] | undefined
}

export interface List<Row> {
  page: Page<Row> | undefined
  error: ApiError | undefined
  /** Rows that came since, and are not shown yet. */
  fresh: number
  /** Whether there are more of them than one page has. */
  isMore: boolean
  showFresh: () => void
  /** Takes what is known of a row after something was done with it. */
  patch: (mark: string, change: Partial<Row>) => void
  drop: (marks: readonly string[]) => void
  /** Forgets what is shown and asks anew. */
  renew: () => void
  /** Looks further where a search has stopped. */
  goOn: () => Promise<void>
}

interface Held<Row> {
  path: string
  page?: Page<Row>
  waiting?: Page<Row>
  error?: ApiError
}

const LOOK_EVERY_MS = 3_000

export function useList<Answer, Row extends { mark: string }>(
  path: string | undefined,
  pageOf: (answer: Answer) => Page<Row>,
  { isResting, goOnPath }: { isResting: boolean; goOnPath: (cursor: string) => string },
): List<Row> {
  const [held, hold] = useState<Held<Row>>({ path: '' })
  const [round, next] = useState(0)
  const latest = useRef({ held, isResting })
  latest.current = { held, isResting }
  useEffect(() => {
    if (path === undefined) return
    const left = new AbortController()
    const look = async () => {
      const known = latest.current.held
      const isFirst = known.path !== path || !known.page
      if (!isFirst && (document.hidden || latest.current.isResting || !isLive.peek())) return
      try {
        const seen = pageOf(await get<Answer>(path, left.signal))
        if (!left.signal.aborted) hold((before) => taken(before, path, seen))
      } catch (error) {
        if (!left.signal.aborted && error instanceof ApiError)
          hold((before) => ({ ...(before.path === path ? before : { path }), error }))
      }
    }
    void look()
    const timer = setInterval(look, LOOK_EVERY_MS)
    return () => {
      left.abort()
      clearInterval(timer)
    }
  }, [path, round])
  const own = held.path === path ? held : undefined
  const fresh = own?.page && own.waiting ? freshIn(own.page, own.waiting) : 0
  return {
    page: own?.page,
    error: own?.error,
    fresh,
    isMore: fresh > 0 && fresh === own?.waiting?.rows.length,
    showFresh: () =>
      hold(
        ({ path, waiting, page }) =>
          ({ path, ...((waiting ?? page) && { page: waiting ?? page }) }) as Held<Row>,
      ),
    patch: (mark, change) => hold((before) => patched(before, mark, change)),
    drop: (marks) => hold((before) => dropped(before, new Set(marks))),
    renew() {
      hold({ path: '' })
      next((each) => each + 1)
    },
    async goOn() {
      const cursor = own?.page?.cursor
      if (!cursor) return
      const more = pageOf(await get<Answer>(goOnPath(cursor)))
      hold((before) => (before.page ? { ...before, page: joined(before.page, more) } : before))
    },
  }
}

/** Renewed where they stand; all at once where nothing is shown yet. */
function taken<Row extends { mark: string }>(before: Held<Row>, path: string, seen: Page<Row>): Held<Row> {
  const shown = before.path === path ? before.page : undefined
  if (!shown || shown.rows.length === 0) return { path, page: seen }
  const now = new Map(seen.rows.map((row) => [row.mark, row]))
  const rows = shown.rows.map((row) => now.get(row.mark) ?? row)
  return { path, page: { ...shown, rows, total: seen.total }, waiting: seen }
}

function patched<Row extends { mark: string }>(
  before: Held<Row>,
  mark: string,
  change: Partial<Row>,
): Held<Row> {
  if (!before.page) return before
  const rows = before.page.rows.map((row) => (row.mark === mark ? { ...row, ...change } : row))
  return { ...before, page: { ...before.page, rows } }
}

function dropped<Row extends { mark: string }>(before: Held<Row>, marks: ReadonlySet<string>): Held<Row> {
  if (!before.page) return before
  return {
    ...before,
    page: { ...before.page, rows: before.page.rows.filter(({ mark }) => !marks.has(mark)) },
  }
}

function joined<Row>(page: Page<Row>, more: Page<Row>): Page<Row> {
  return { ...more, rows: [...page.rows, ...more.rows], scanned: page.scanned + more.scanned }
}
