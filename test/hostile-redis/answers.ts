// What a server may say to a command instead of an answer: some by hand, and random ones, in the old protocol and the new one.

import { oneOf, type Random } from './random.ts'
import { array, bulk } from './server.ts'

export const ANSWERS: readonly string[] = [
  '+OK\r\n',
  '+\r\n',
  '-ERR no\r\n',
  '-\r\n',
  '-MOVED 1 127.0.0.1:1\r\n',
  '-MOVED 99999 [:0\r\n',
  '-ASK 1 :0\r\n',
  '-LOADING Redis is loading the dataset in memory\r\n',
  "-READONLY You can't write against a read only replica.\r\n",
  '-NOSCRIPT No matching script.\r\n',
  ':0\r\n',
  ':-1\r\n',
  ':NaN\r\n',
  `:${'9'.repeat(30)}\r\n`,
  '$-1\r\n',
  '$0\r\n\r\n',
  '$5\r\nhi\r\n',
  '$-2\r\n',
  '*-1\r\n',
  '*0\r\n',
  '*1\r\n$-1\r\n',
  '*3\r\n$-1\r\n$-1\r\n$-1\r\n',
  array(bulk('message'), '$-1\r\n', '*0\r\n'),
  array(bulk('subscribe'), ':1\r\n', bulk('x')),
  array(bulk('unsubscribe'), '$-1\r\n', ':0\r\n'),
  '*2147483647\r\n',
  `${'*1\r\n'.repeat(5_000)}:1\r\n`,
  '+OK\r\n+OK\r\n+OK\r\n',
  '+O\r',
  '\r\n\r\n',
  '_\r\n',
  '#t\r\n',
  ',inf\r\n',
  '(123456789012345678901234567890\r\n',
  '=7\r\ntxt:abc\r\n',
  '!5\r\nERR x\r\n',
  '%1\r\n+a\r\n:1\r\n',
  '~1\r\n:1\r\n',
  '>1\r\n_\r\n',
  '>2\r\n+message\r\n_\r\n',
  '>3\r\n+subscribe\r\n*0\r\n_\r\n',
  '>3\r\n+push\r\n+of\r\n+nothing\r\n',
  '|1\r\n+key\r\n+value\r\n:1\r\n',
  'HTTP/1.1 400 Bad Request\r\n\r\n',
]

/** Of bytes that a protocol is made of, mostly. */
export function randomAnswer(random: Random): string {
  if (random() < 0.3) return mangled(oneOf(random, ANSWERS), random)
  return random() < 0.7
    ? randomValue(random, 0)
    : Array.from({ length: 1 + random() * 40 }, () => byte(random)).join('')
}

/** A well-formed one, with words, numbers and lists that scripts answer too, in places where they may not be. */
/** Said each time, they are pages, slices and batches that are never the last ones. */
export const ENDLESS_REPLIES: readonly string[] = [
  array(bulk('1e400'), ':1\r\n', ':0\r\n'),
  array(bulk('1 a'), ':1\r\n', ':0\r\n'),
  array(bulk('1 a'), ':1\r\n', ':1\r\n'),
  array('*0\r\n', bulk('7')),
  array(':1\r\n', ':1\r\n'),
  array(bulk('b'), bulk('1-1'), bulk('delete'), bulk('a'), bulk(''), bulk('')),
]

export function randomReply(random: Random, depth = 0): string {
  if (random() < (depth === 0 ? 0.85 : 0.35) && depth < 4)
    return array(...Array.from({ length: Math.floor(random() * 10) }, () => randomReply(random, depth + 1)))
  if (random() < 0.4)
    return `:${oneOf(random, ['0', '1', '-1', '5', '1795366013184', '9007199254740993'])}\r\n`
  return oneOf(random, ['$-1\r\n', '*-1\r\n', '*0\r\n', ...SCRIPT_WORDS.map(bulk)])
}
const SCRIPT_WORDS = [
  ...['', 'alive', 'dead', 'ok', 'stale', 'closed', 'completed', 'buried', 'ready', 'unknown', 'held', 'x'],
  ...[
    '1:1:0',
    '5:2:1+',
    '12',
    'NaN',
    '1e400',
    '-5',
    'process',
    'busy',
    '#1',
    '{"outcome":"failed","exitCode":"x"}',
  ],
  ...[
    '20 normal 1795366013184 task\n{}',
    '=c 19f3a 1 5 task 1 2 3 4\nnull',
    '{"outcome":5}',
    '[]',
    '__proto__',
  ],
]

function randomValue(random: Random, depth: number): string {
  const kind = oneOf(random, [...'+-:$*', ...'_#,(=!%~>|'])
  const isMany = '*~>%|'.includes(kind)
  if (isMany && depth < 4) {
    const size = Math.floor(random() * 5)
    const parts = '%|'.includes(kind) ? 2 * size : size
    return `${kind}${size}\r\n${Array.from({ length: parts }, () => randomValue(random, depth + 1)).join('')}`
  }
  const text = oneOf(random, WORDS)
  if ('$=!'.includes(kind)) return `${kind}${text.length}\r\n${text}\r\n`
  return `${kind}${oneOf(random, ['0', '1', '-1', '1e400', 't', 'inf', text])}\r\n`
}
const WORDS = [
  '',
  'ok',
  'alive',
  'dead',
  'created',
  'message',
  'subscribe',
  'x',
  'txt:ab',
  '__proto__',
  '1:1:0',
  '\u0000',
]

function mangled(answer: string, random: Random): string {
  const at = Math.floor(random() * answer.length)
  return answer.slice(0, at) + byte(random) + answer.slice(at + Math.floor(random() * 3))
}

const byte = (random: Random): string =>
  oneOf(random, [...'+-:$*%~>_,#(=!|0123456789\r\n ax', '\u0000', '\u00ff'])
