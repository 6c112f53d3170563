// `?`: the keys of a view.
import { PLACES } from './go-to.ts'
import type { View } from './view.ts'

const EVERYWHERE: readonly (readonly [string, string])[] = [
  ['j k, arrows', 'move; page up, page down, g and G: far'],
  ['enter', 'open what is under the cursor'],
  ['esc', 'back; in the first view it takes the filter away'],
  ['/', 'filter'],
  [':', 'go to another view; tab completes'],
  ['w e s f', 'workers, errors, schedules, flows of the queue'],
  ['P', 'pause the queue, or resume it; asks first'],
  ['r', 'look at once, for new queues too'],
  ['ctrl-z', 'back to the shell until fg'],
  ['q, ctrl-c', 'quit; q goes back from the keys'],
]

export function helpView(view: View): View {
  const keys = view.keys.map(({ key, label, deed }) => [key, deed ? `${label}; asks first` : label] as const)
  const places = PLACES.map(({ name, alias, behind }) => [`:${name} ${behind}`, `:${alias}`] as const)
  const hint = view.filter ? [['/', view.filter.hint] as const] : []
  return {
    crumb: 'keys',
    queueLabel: view.queueLabel,
    columns: [],
    empty: '',
    rows: () => [],
    summary: () => `keys of ${view.crumb}`,
    lines: () => [...table([...keys, ...hint]), '', ...table(EVERYWHERE), '', ...table(places)],
    load: async () => {},
    keys: [],
  }
}

function table(pairs: readonly (readonly [string, string])[]): string[] {
  return pairs.map(([left, right]) => `  ${left.padEnd(24)}${right}`)
}
