// Loaded into an operator before its own code, by NODE_OPTIONS=--import (probed.ts asks for it): notes what it says to the API server and to
// Redis, and when, and sends its process a signal right before or right after the write that it is told of. The operator knows nothing of it.
import { openSync, writeSync } from 'node:fs'
import type { ClientRequest } from 'node:http'
import https, { type RequestOptions } from 'node:https'
import { syncBuiltinESMExports } from 'node:module'
import { loadScripts } from '../../../worker-runtime/src/queue/scripts.ts'
import { ReplacingConnection } from '../../../worker-runtime/src/redis/reconnect.ts'
import { RedisSocket } from '../../../worker-runtime/src/redis/socket.ts'

const { MILLHAND_TEST_NOTES = '', MILLHAND_TEST_STRIKE = '' } = process.env
const notes = openSync(MILLHAND_TEST_NOTES, 'a')
const [signal = '', moment = '', nth = '', text = ''] = MILLHAND_TEST_STRIKE.split(' ')
let calls = 0
let matching = 0
let hasLease = false

function note(kind: string, call: number, what: string): void {
  const atMs = performance.timeOrigin + performance.now()
  writeSync(notes, `${atMs.toFixed(2)} ${process.pid} ${kind} ${call} ${what}\n`)
}

/** What it answers is to be called when the answer is there, before anybody else hears of it. */
function noted(kind: 'read' | 'write' | 'renewal', what: string): () => void {
  const call = ++calls
  note(kind, call, what)
  const isIt = kind === 'write' && what.includes(text) && ++matching === Number(nth)
  if (isIt && moment === 'before') strike(call, what)
  return () => {
    note('answer', call, what)
    if (isIt && moment === 'after') strike(call, what)
  }
}

function strike(call: number, what: string): void {
  note('strike', call, what)
  process.kill(process.pid, signal)
}

const request = https.request
https.request = ((options: RequestOptions, ...rest: []): ClientRequest => {
  const { method = '', path } = options
  const answered = noted(kindOf(method, path ?? ''), `${method} ${path}`)
  const asked = request(options, ...rest)
  asked.once('response', answered)
  return asked
}) as typeof request
syncBuiltinESMExports()

/** How often a lease is renewed is a matter of time: only the first write of it is one of the process's own. */
function kindOf(method: string, path: string): 'read' | 'write' | 'renewal' {
  if (method === 'GET') return 'read'
  if (!path.includes('/leases')) return 'write'
  const isFirst = !hasLease
  hasLease = true
  return isFirst ? 'write' : 'renewal'
}

const WRITING = ['configure', 'release', 'drain', 'reap']
const verbs = new Map(
  Object.entries(loadScripts()).flatMap(([verb, { sha, source }]) => [
    [sha, verb],
    [source, verb],
  ]),
)
const send = RedisSocket.prototype.send
RedisSocket.prototype.send = function (command) {
  const [name, script, , prefix] = command
  const verb = name.startsWith('EVAL') && verbs.get(String(script))
  if (!verb) return send.call(this, command)
  const answered = noted(WRITING.includes(verb) ? 'write' : 'read', `${verb} ${prefix}`)
  const answer = send.call(this, command)
  answer.then(answered, answered)
  return answer
}

const subscribe = ReplacingConnection.prototype.subscribe
ReplacingConnection.prototype.subscribe = function (channel, onMessage) {
  return subscribe.call(this, channel, (message) => {
    note('message', 0, channel)
    onMessage(message)
  })
}
