// What a terminal sends → keys (pure).

/** A character, or a name: `up`, `enter`, `esc`, `ctrl-d`. */
export type Key = string

const ESC = '\x1b'
const ENDS: Readonly<Record<string, Key>> = {
  ...{ A: 'up', B: 'down', C: 'right', D: 'left', H: 'home', F: 'end', Z: 'tab' },
  ...{ '1~': 'home', '4~': 'end', '7~': 'home', '8~': 'end', '5~': 'pageup', '6~': 'pagedown' },
}
const NAMES: Readonly<Record<string, Key>> = {
  ...{ '\r': 'enter', '\n': 'enter', '\t': 'tab', '\x7f': 'backspace', '\b': 'backspace' },
}
/** Behind ESC [ or ESC O: parameters and one character that ends it. */
const SEQUENCE = /^[[O]([0-9;?<=>]*)([@-~])/
const BEGINNING = /^([[O][0-9;?<=>]{0,20})?$/

/**
 * `rest`: the beginning of a sequence, or ESC alone; what comes next decides. Unknown sequences are no key.
 */
export function keysIn(input: string): { keys: Key[]; rest: string } {
  const keys: Key[] = []
  let text = input
  while (text !== '') {
    if (!text.startsWith(ESC)) {
      const character = String.fromCodePoint(text.codePointAt(0) ?? 0)
      keys.push(nameOf(character))
      text = text.slice(character.length)
      continue
    }
    const behind = text.slice(1)
    if (BEGINNING.test(behind)) return { keys, rest: text }
    const [sequence = '', parameters = '', end = ''] = SEQUENCE.exec(behind) ?? []
    if (sequence === '') keys.push('esc')
    else keys.push(...([ENDS[end === '~' ? `${parameters}~` : end]].filter(Boolean) as Key[]))
    text = behind.slice(sequence.length)
  }
  return { keys, rest: '' }
}

function nameOf(character: string): Key {
  const code = character.codePointAt(0) ?? 0
  return NAMES[character] ?? (code < 32 ? `ctrl-${String.fromCharCode(code + 96)}` : character)
}
