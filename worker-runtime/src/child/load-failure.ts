// The error of a process that ended before it had loaded the modules: from its message (loading.ts) and from
// Node's stderr. For spawned children (child.ts) and zygotes (zygote.ts).
import { fileURLToPath } from 'node:url'
import { type LoadFailure, withoutScheme } from './messages.ts'
import { describeEnding, type Ending } from './outcome.ts'

const OURS = fileURLToPath(new URL('..', import.meta.url))

/** Lines that Node adds to an uncaught error. */
const OF_NODE = /^\s+at .*\bnode:|^Node\.js v/

/** An accident: another start may be faster. */
export function loadTimedOut(afterMs: number) {
  const failure = `the modules did not load within ${afterMs / 1000} s; MILLHAND_LOAD_TIMEOUT_SECONDS gives them longer`
  return { failure, isAccident: true as const }
}

interface NotLoaded {
  /** The child or the zygote. */
  who: string
  ending: Ending
  stderr: string
  told: LoadFailure | undefined
}

export function whyNotLoaded({ who, ending, stderr, told }: NotLoaded): string {
  const words = stderr.split('\n').filter((line) => line.trim() !== '' && !OF_NODE.test(line))
  const said = words.slice(-3).join(' / ')
  if (told?.reason) {
    const place = told.place ?? words.map(placeOf).find(Boolean)
    return `${told.reason}${place ? ` (${place})` : ''}${told.remedy ? `; ${told.remedy}` : ''}`
  }
  const place = told?.place ? ` (${told.place})` : ''
  return `${who} ${describeEnding(ending)} before it had loaded the modules${said && `: ${said}`}${place}`
}

/** As Node prints it before an uncaught error. */
function placeOf(line: string): string {
  const place = withoutScheme(/^((?:file:\/\/)?\/.*:\d+)$/.exec(line)?.[1] ?? '')
  return place.startsWith(OURS) ? '' : place
}
