// How much room there is.
import { signal } from '@preact/signals'

function atLeast(px: number) {
  const query = matchMedia(`(min-width: ${px}px)`)
  const is = signal(query.matches)
  query.addEventListener('change', () => {
    is.value = query.matches
  })
  return is
}

/** For a picture that is wider than high. */
export const isWide = atLeast(768)
/** For a list with one of its things beside it. */
export const hasRoomBeside = atLeast(1_200)
