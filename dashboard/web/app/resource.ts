// An answer of the API that a part of a page shows: asked for when its address changes and every few seconds,
// kept while a newer one is on its way, and not asked for while nobody looks.
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError, getNewer } from './api.ts'
import { isLive } from './settings.ts'

export interface Resource<T> {
  value: T | undefined
  /** The value may be an older one. */
  error: ApiError | undefined
  isLoading: boolean
  again: () => void
}

interface Held<T> {
  path: string
  value?: T
  tag?: string
  error?: ApiError
}

/** `everyMs` 0: only once. No path: nothing is asked for. */
export function useResource<T>(path: string | undefined, everyMs = 0): Resource<T> {
  const [held, hold] = useState<Held<T>>({ path: '' })
  const [round, again] = useState(0)
  const latest = useRef(held)
  latest.current = held
  useEffect(() => {
    if (path === undefined) return
    const left = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined
    const look = async () => {
      if (!document.hidden || latest.current.path !== path) await ask()
      if (everyMs > 0 && !left.signal.aborted)
        timer = setTimeout(() => (isLive.peek() ? look() : wait()), everyMs)
    }
    const wait = () => {
      timer = setTimeout(() => (isLive.peek() ? look() : wait()), everyMs)
    }
    const ask = async () => {
      try {
        const { tag: than } = latest.current.path === path ? latest.current : {}
        const newer = await getNewer<T>(path, { than, signal: left.signal })
        if (left.signal.aborted) return
        if (newer) hold({ path, ...newer })
        else if (latest.current.error) hold(({ error: _, ...known }) => known)
      } catch (error) {
        if (left.signal.aborted || !(error instanceof ApiError)) return
        const known = latest.current.path === path ? latest.current : { path }
        hold({ ...known, error })
      }
    }
    void look()
    return () => {
      left.abort()
      clearTimeout(timer)
    }
  }, [path, everyMs, round])
  const isOurs = held.path === path
  return {
    value: isOurs ? held.value : undefined,
    error: isOurs ? held.error : undefined,
    isLoading: path !== undefined && !isOurs,
    again: () => again((each) => each + 1),
  }
}
