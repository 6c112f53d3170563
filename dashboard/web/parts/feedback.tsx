// What is shown where there is nothing to show: while it loads, when it failed, when it is empty, when it is
// not allowed.
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import type { ApiError } from '../app/api.ts'
import type { Resource } from '../app/resource.ts'
import { Icon, type IconName } from './icons.tsx'
import { Since } from './show.tsx'

const SKELETON_AFTER_MS = 150

/** `isPage`: nothing else is on the page. */
export function Blank({
  icon = 'empty',
  title,
  isPage = false,
  children,
}: {
  icon?: IconName
  title: string
  isPage?: boolean
  children?: ComponentChildren
}) {
  const Heading = isPage ? 'h1' : 'h2'
  return (
    <div class="blank">
      <Icon name={icon} />
      <Heading>{title}</Heading>
      {children}
    </div>
  )
}

export function Loading({ lines = 4, what }: { lines?: number; what: string }) {
  const [isLate, setLate] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), SKELETON_AFTER_MS)
    return () => clearTimeout(timer)
  }, [])
  return (
    <div class="loading" role="status">
      <span class="hidden-visually">Loading {what}</span>
      {isLate && Array.from({ length: lines }, (_, n) => <div key={n} class="skeleton" aria-hidden="true" />)}
    </div>
  )
}

interface FailedProps {
  error: ApiError
  what: string
  again?: () => void
  isPage?: boolean
}

/** In the place of what could not be had. */
export function Failed({ error, again, what, isPage = false }: FailedProps) {
  const [icon, title] = headOf(error, what)
  return (
    <div role="alert">
      <Blank icon={icon} title={title} isPage={isPage}>
        <p>
          {error.message}
          {error.sinceMs !== undefined && (
            <>
              {' '}
              It has not for <Since atMs={error.sinceMs} />.
            </>
          )}
        </p>
        {again && icon === 'errors' && (
          <button type="button" class="button" onClick={again}>
            Try again
          </button>
        )}
      </Blank>
    </div>
  )
}

function headOf({ status }: ApiError, what: string): [IconName, string] {
  if (status === 403) return ['lock', `You may not see ${what}`]
  if (status === 404) return ['empty', 'There is nothing here']
  return ['errors', status === 503 ? 'Redis does not answer' : `Cannot show ${what}`]
}

/** Above an older value that is still shown. */
export function Stale({ error }: { error: ApiError | undefined }) {
  if (!error) return null
  return (
    <Note tone="retrying" icon="delayed">
      <p role="status">{error.message} What is shown is older.</p>
    </Note>
  )
}

export function Note({
  tone,
  icon,
  children,
}: {
  tone: string
  icon: IconName
  children: ComponentChildren
}) {
  return (
    <div class={`note s-${tone}`}>
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  )
}

/** One of: loading, failed, the value. */
export function Shown<T>({
  of,
  what,
  isPage = false,
  children,
}: {
  of: Resource<T>
  what: string
  isPage?: boolean
  children: (value: T) => ComponentChildren
}) {
  if (of.value === undefined)
    return of.error ? (
      <Failed error={of.error} again={of.again} what={what} isPage={isPage} />
    ) : (
      <Loading what={what} />
    )
  return (
    <>
      <Stale error={of.error} />
      {children(of.value)}
    </>
  )
}
