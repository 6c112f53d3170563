// A process between an operator and the API server that answers as one in trouble does: refuses, asks to come back later, hesitates, never
// answers, or does what it was asked and loses the answer. By chance, from a seed. api-errors.test.ts starts it in the cluster's network.
//
// Arguments: a seed. Input: lines, each the part of the requests that have trouble from now on. Output: its port, then a JSON line for each
// request. The way to the API server and its credentials are those of KUBECONFIG.
import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { Agent, type RequestOptions, request } from 'node:https'
import { createInterface } from 'node:readline'
import { KubeConfig } from '@kubernetes/client-node'

export interface Requested {
  atMs: number
  method: string
  path: string
  /** none: it was only passed on. */
  trouble: Trouble | 'none'
}

const REFUSALS = {
  conflict: {
    code: 409,
    reason: 'Conflict',
    message: 'the object has been modified; apply your changes to the latest',
  },
  expired: { code: 410, reason: 'Expired', message: 'the provided resource version is too old' },
  busy: { code: 429, reason: 'TooManyRequests', message: 'the server has received too many requests' },
  broken: { code: 500, reason: 'InternalError', message: 'an error on the server has prevented the request' },
} as const
const TROUBLES = ['conflict', 'expired', 'busy', 'broken', 'slow', 'hangs', 'lost', 'cut'] as const
export type Trouble = (typeof TROUBLES)[number]
const SLOWEST_MS = 3_000

const [seed = ''] = process.argv.slice(2)
const config = new KubeConfig()
config.loadFromDefault()
const server = new URL(config.getCurrentCluster()?.server ?? '')
const credentials: RequestOptions = {}
await config.applyToHTTPSOptions(credentials)
const agent = new Agent({ keepAlive: true })
let share = 0
let draws = 0

const listening = createServer((asked, answer) => {
  answer.on('error', () => {})
  meet(asked, answer).catch(() => answer.destroy())
})
listening.listen(0, '127.0.0.1', () => say((listening.address() as { port: number }).port))
for await (const line of createInterface({ input: process.stdin })) share = Number(line)
process.exit(0)

async function meet(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
  const { method = '', url: path = '' } = asked
  const trouble = drawnTrouble()
  say({ atMs: Math.round(performance.now()), method, path, trouble })
  // Whole, so that it is done also when nobody waits for the answer any more.
  const body = Buffer.concat(await asked.toArray())
  switch (trouble) {
    case 'conflict':
    case 'expired':
    case 'busy':
    case 'broken':
      return refuse(answer, REFUSALS[trouble])
    case 'hangs':
      return
    case 'slow':
      await new Promise((resolve) => setTimeout(resolve, draw() * SLOWEST_MS))
      return passOn(asked, body, answer)
    case 'lost':
      return passOn(asked, body, answer, () => answer.socket?.resetAndDestroy())
    case 'cut':
      setTimeout(() => answer.socket?.destroy(), draw() * SLOWEST_MS)
      return passOn(asked, body, answer)
    case 'none':
      return passOn(asked, body, answer)
  }
}

/** `losing` is called in place of passing the answer back. */
function passOn(
  { method, url: path, headers }: IncomingMessage,
  body: Buffer,
  answer: ServerResponse,
  losing?: () => void,
): void {
  const { hostname, port, host } = server
  const all = { ...headers, ...credentials.headers, host }
  const options = { ...credentials, agent, hostname, port, method, path, headers: all }
  const passed = request(options as RequestOptions, (response) => {
    if (losing) {
      response.resume()
      losing()
      return
    }
    answer.writeHead(response.statusCode ?? 500, response.headers)
    answer.flushHeaders()
    response.on('error', () => answer.destroy())
    response.pipe(answer)
  })
  passed.on('error', () => answer.destroy())
  answer.on('close', () => passed.destroy())
  passed.end(body)
}

function refuse(
  answer: ServerResponse,
  { code, ...refusal }: (typeof REFUSALS)[keyof typeof REFUSALS],
): void {
  answer.writeHead(code, { 'content-type': 'application/json', ...(code === 429 && { 'retry-after': '1' }) })
  answer.end(JSON.stringify({ kind: 'Status', apiVersion: 'v1', status: 'Failure', ...refusal, code }))
}

function drawnTrouble(): Requested['trouble'] {
  return draw() < share ? (TROUBLES[Math.floor(draw() * TROUBLES.length)] ?? 'none') : 'none'
}

/** 0 to 1, the same for the same seed. */
function draw(): number {
  return createHash('sha256').update(`${seed} ${++draws}`).digest().readUInt32BE() / 2 ** 32
}

function say(what: Requested | number): void {
  process.stdout.write(`${JSON.stringify(what)}\n`)
}
