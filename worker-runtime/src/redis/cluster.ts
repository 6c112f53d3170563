// A Cluster as one Connection: each call goes to the node that serves the slot of its key. Each node has its own
// connection (reconnect.ts), so that a node that is away stops only its queues. All keys of a queue are in one
// slot.
//
//   call → owner of the slot → answer
//             MOVED ↺ that node, from now on          ASK ↺ that node, this once          lost → the call is rejected; the map is read again
import { addressText, type HostPort, hostPortOf, hostPortText, type RedisAddress } from './address.ts'
import {
  type Command,
  type Connection,
  type ConnectionOptions,
  RedisUnavailable,
  type SubscribeOptions,
} from './connection.ts'
import { slotOf } from './slot.ts'

type Connect = (address: RedisAddress, options: ConnectionOptions) => Connection

interface Node {
  readonly address: RedisAddress
  readonly connection: Connection
  isAway: boolean
}

interface Subscription {
  readonly channel: string
  readonly onMessage: (message: string) => void
  readonly options: SubscribeOptions
  node: Node
  stop: () => void
}

const MAX_REDIRECTIONS = 8
const MAP_DEADLINE_MS = 2_000
const MAP_AGAIN_MS = 500
const LAST_PAUSE_MS = 5_000
const DEADLINE_MS = 5_000
const ASKED_AT_ONCE = 3
/** The largest Cluster that Redis recommends. */
const MAX_NODES = 1_000
const SLOTS = 16_384
/** The deadline for questions to all servers. */
const ASK_EACH_MS = 30_000

export class ClusterConnection implements Connection {
  readonly form = 'cluster'
  readonly database = 0
  readonly #address: RedisAddress
  readonly #options: ConnectionOptions
  readonly #connect: Connect
  /** How many connections ask at once, each one question. */
  readonly #passing = new Set<Connection>()
  /** By host:port. */
  readonly #nodes = new Map<string, Node>()
  /** Slot → host:port of its primary. */
  #owners: string[] = []
  readonly #subscriptions = new Set<Subscription>()
  #reading: Promise<void> | undefined
  #readAgain: NodeJS.Timeout | undefined
  #readAgainAtMs = 0
  #pauseMs = MAP_AGAIN_MS
  #isClosed = false
  #isAway = false
  #wasReady = false
  #wasRefused = false

  constructor(address: RedisAddress, options: ConnectionOptions, connect: Connect) {
    this.#address = address
    this.#options = options
    this.#connect = connect
    this.#readMap().catch((error) => this.#readMapAfter(error))
  }

  get deadlineMs(): number {
    return this.#options.deadlineMs ?? DEADLINE_MS
  }

  get isReady(): boolean {
    return this.#owners.length > 0 && !this.#isAway && !this.#isClosed
  }

  async ready(): Promise<void> {
    await this.#mapWithin(this.deadlineMs)
  }

  call(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.send([command, ...args])
  }

  send(command: Command, deadlineMs = this.deadlineMs): Promise<unknown> {
    return this.#atOwner(deadlineMs, command, ({ connection }, leftMs) => connection.send(command, leftMs))
  }

  callThen(deadlineMs: number, first: Command, then: Command): Promise<[unknown, unknown]> {
    return this.#atOwner(deadlineMs, first, ({ connection }, leftMs) =>
      connection.callThen(leftMs, first, then),
    )
  }

  async #atOwner<T>(
    deadlineMs: number,
    command: Command,
    send: (node: Node, leftMs: number) => Promise<T>,
  ): Promise<T> {
    const untilMs = performance.now() + deadlineMs
    let node = await this.#nodeFor(keyOf(command), deadlineMs)
    let isAsking = false
    for (let redirections = 0; ; redirections++) {
      try {
        if (node.isAway) this.#readMapSoon()
        const leftMs = Math.max(1, Math.ceil(untilMs - performance.now()))
        if (isAsking) await askingAt(node)
        return await send(node, leftMs)
      } catch (error) {
        if (error instanceof RedisUnavailable) this.#readMapSoon()
        const redirected = redirectionOf(error, node)
        if (!redirected) throw error
        if (redirections === MAX_REDIRECTIONS) {
          this.#readMapSoon()
          const options = { code: 'NOT_SERVING', cause: error } as const
          throw this.#unavailable('the nodes of the Cluster disagree about a slot', options)
        }
        isAsking = redirected.kind === 'ASK'
        node = this.#node(redirected)
        if (isAsking) continue
        this.#owners[redirected.slot] = hostPortText(redirected)
        this.#readMapSoon()
      }
    }
  }

  /** Subscribes at the node that serves the slot of the channel's {queue}, and moves with the slot. */
  async subscribe(
    channel: string,
    onMessage: (message: string) => void,
    options: SubscribeOptions = {},
  ): Promise<() => void> {
    const node = await this.#nodeFor(channel, this.deadlineMs)
    const stop = await node.connection.subscribe(channel, onMessage, options)
    const subscription: Subscription = { channel, onMessage, options, node, stop }
    this.#subscriptions.add(subscription)
    return () => {
      this.#subscriptions.delete(subscription)
      subscription.stop()
    }
  }

  /** Uses separate connections, a few at a time: most nodes may serve no queue of this program. */
  async atEachServer<T>(ask: (server: Connection, name: string) => Promise<T>): Promise<T[]> {
    await this.ready()
    const untilMs = performance.now() + ASK_EACH_MS
    const left = [...new Set(this.#owners.filter(Boolean))].entries()
    const answers: T[] = []
    const askNext = async () => {
      for (const [at, name] of left) {
        if (this.#isClosed) throw this.#unavailable('the connection was closed')
        if (performance.now() > untilMs) throw this.#unavailable('not all servers answered in time')
        answers[at] = await this.#inPassing(name, 'millhand-look', (server) => ask(server, name))
      }
    }
    await Promise.all(Array.from({ length: ASKED_AT_ONCE }, askNext))
    return answers
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#readAgain)
    for (const { connection } of this.#nodes.values()) connection.close()
    this.#nodes.clear()
    for (const connection of this.#passing) connection.close()
  }

  async #nodeFor(key: string | undefined, deadlineMs: number): Promise<Node> {
    if (this.#owners.length === 0) await this.#mapWithin(deadlineMs)
    const slot = key === undefined ? this.#owners.findIndex(Boolean) : slotOf(key)
    const owner = this.#owners[slot]
    if (owner) return this.#nodeAt(owner)
    this.#readMapSoon()
    throw this.#unavailable('no node of the Cluster serves this slot', { code: 'NOT_SERVING' })
  }

  #nodeAt(text: string): Node {
    return this.#node(hostPortIn(text))
  }

  #node({ host, port }: HostPort): Node {
    const text = hostPortText({ host, port })
    const known = this.#nodes.get(text)
    if (known) return known
    if (this.#nodes.size >= MAX_NODES) throw this.#unavailable(TOO_MANY_NODES, { code: 'DATA_INVALID' })
    const address: RedisAddress = { ...this.#address, form: 'server', hosts: [{ host, port }] }
    const connection = this.#connect(address, {
      ...this.#options,
      onState: (state) => {
        node.isAway = state === 'away'
        if (node.isAway) this.#readMapSoon()
      },
    })
    const node: Node = { address, connection, isAway: false }
    if (this.#isClosed) connection.close()
    else this.#nodes.set(text, node)
    return node
  }

  async #mapWithin(deadlineMs: number): Promise<void> {
    const untilMs = performance.now() + deadlineMs
    while (this.#owners.length === 0) {
      if (this.#isClosed) throw this.#unavailable('the connection was closed')
      try {
        await this.#readMap()
      } catch (error) {
        if (isHopeless(error) || performance.now() + MAP_AGAIN_MS > untilMs) throw error
        await new Promise((resolve) => setTimeout(resolve, MAP_AGAIN_MS))
      }
    }
  }

  /** The slot map may be wrong: a call failed or was redirected, or its node is away. */
  #readMapSoon(): void {
    this.#pauseMs = MAP_AGAIN_MS
    this.#readMapLater()
  }

  /**
   * Backs off where a Cluster refuses the credentials or breaks the protocol: wrong passwords may lock a user
   * out.
   */
  #readMapAfter(error: unknown): void {
    this.#pauseMs = isHopeless(error) ? Math.min(LAST_PAUSE_MS, this.#pauseMs * 2) : MAP_AGAIN_MS
    this.#readMapLater()
  }

  /** Reads the map after the pause, or earlier where an earlier look is due. */
  #readMapLater(): void {
    const waitMs = this.#pauseMs * (0.5 + Math.random() / 2)
    const atMs = performance.now() + waitMs
    if (this.#isClosed || (this.#readAgain && this.#readAgainAtMs <= atMs)) return
    clearTimeout(this.#readAgain)
    this.#readAgainAtMs = atMs
    this.#readAgain = setTimeout(() => {
      this.#readAgain = undefined
      this.#readMap().catch((error) => this.#readMapAfter(error))
    }, waitMs)
  }

  #readMap(): Promise<void> {
    this.#reading ??= this.#askForMap().finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  /**
   * Takes the map of the node that answers first, on separate connections: other nodes may be blocked or
   * away.
   */
  async #askForMap(): Promise<void> {
    const before = this.#owners
    const known = new Set([...before.filter(Boolean), ...this.#address.hosts.map(hostPortText)])
    const asked = shuffled([...known]).slice(0, ASKED_AT_ONCE)
    try {
      this.#owners = await Promise.any(asked.map((text) => this.#mapOf(text)))
    } catch (error) {
      const { errors } = error as AggregateError
      const told = errors.find(isRefused) ?? errors[0]
      this.#turned('away', told)
      throw told
    }
    if (this.#isClosed) return
    this.#turned('ready')
    this.#leaveNodes()
    await this.#moveSubscriptions()
    // While a node is away its replica may take over. A connection for messages has no call that fails, so it
    // must read the map here.
    this.#pauseMs = isSame(before, this.#owners) ? Math.min(LAST_PAUSE_MS, this.#pauseMs * 2) : MAP_AGAIN_MS
    if ([...this.#nodes.values()].some(({ connection }) => !connection.isReady)) this.#readMapLater()
  }

  #mapOf(asked: string): Promise<string[]> {
    return this.#inPassing(asked, 'millhand-map', async (node) =>
      ownersOf(await node.call('CLUSTER', 'SLOTS'), hostPortIn(asked)),
    )
  }

  async #inPassing<T>(at: string, name: string, ask: (server: Connection) => Promise<T>): Promise<T> {
    const address: RedisAddress = { ...this.#address, form: 'server', hosts: [hostPortIn(at)] }
    const connection = this.#connect(address, { name, deadlineMs: MAP_DEADLINE_MS })
    this.#passing.add(connection)
    if (this.#isClosed) connection.close()
    try {
      return await ask(connection)
    } finally {
      this.#passing.delete(connection)
      connection.close()
    }
  }

  #turned(state: 'ready' | 'away', error?: Error): void {
    const isRefusal = isRefused(error)
    const isNewAway = !this.#isAway || (isRefusal && !this.#wasRefused)
    const isNews = state === 'away' ? isNewAway : this.#isAway || !this.#wasReady
    this.#wasRefused = isRefusal
    this.#isAway = state === 'away'
    this.#wasReady ||= state === 'ready'
    if (isNews) this.#options.onState?.(state, error)
  }

  /** Closes the nodes without slots, which rejects their waiting calls. */
  #leaveNodes(): void {
    const serving = new Set(this.#owners)
    for (const [text, { connection }] of this.#nodes) {
      if (serving.has(text)) continue
      connection.close()
      this.#nodes.delete(text)
    }
  }

  async #moveSubscriptions(): Promise<void> {
    for (const subscription of this.#subscriptions) {
      const owner = this.#owners[slotOf(subscription.channel)]
      if (!owner || this.#nodeAt(owner) === subscription.node) continue
      const node = this.#nodeAt(owner)
      const { channel, onMessage, options } = subscription
      const stop = await node.connection.subscribe(channel, onMessage, options)
      subscription.stop()
      if (this.#subscriptions.has(subscription)) Object.assign(subscription, { node, stop })
      else stop()
      options.onRenewed?.()
    }
  }

  #unavailable(
    why: string,
    more: { cause?: unknown; code?: RedisUnavailable['code'] } = {},
  ): RedisUnavailable {
    return new RedisUnavailable(`${why}: ${addressText(this.#address)}`, { maybeDone: false, ...more })
  }
}

const isRefused = (error: unknown) => error instanceof RedisUnavailable && error.code === 'REDIS_REFUSED'

/** Another try would bring the same error. */
const isHopeless = (error: unknown) =>
  isRefused(error) ||
  (error instanceof RedisUnavailable && (error.code === 'PROTOCOL' || error.code === 'DATA_INVALID'))

function hostPortIn(text: string): HostPort {
  const colon = text.lastIndexOf(':')
  return { host: text.slice(0, colon).replace(/^\[|\]$/g, ''), port: Number(text.slice(colon + 1)) }
}

/**
 * Resolves when ASKING is written. A command of the same turn of the loop follows it directly.
 */
async function askingAt({ connection }: Node): Promise<void> {
  await connection.ready()
  connection.call('ASKING').catch(() => {})
}

/**
 * The key that routes a command: the first key of a script, else the first argument; undefined for commands
 * about a server.
 */
function keyOf([name, ...args]: Command): string | undefined {
  if (name === 'EVALSHA' || name === 'EVAL') return String(args[2])
  return KEYLESS.includes(name) ? undefined : String(args[0])
}
const KEYLESS = ['PING', 'INFO', 'CONFIG', 'CLUSTER', 'TIME', 'ROLE', 'ACL', 'COMMAND']

type Redirection = HostPort & { kind: 'MOVED' | 'ASK'; slot: number }

/** A node that does not know its own name sends no host: then it is the node that was asked. */
function redirectionOf(error: unknown, { address }: Node): Redirection | undefined {
  const [, kind, slot, host, port] =
    /^(MOVED|ASK) (\d+) (.*):(\d+)$/.exec((error as Error).message ?? '') ?? []
  if (!kind) return undefined
  const node = hostPortOf(host || address.hosts[0]?.host, port)
  if (!node || Number(slot) >= SLOTS) return undefined
  return { kind: kind as Redirection['kind'], slot: Number(slot), ...node }
}

/** CLUSTER SLOTS: [first, last, [host, port, id, …] of the primary, replicas…]… */
function ownersOf(answer: unknown, asked: HostPort): string[] {
  if (!Array.isArray(answer)) throw badMap()
  const owners: string[] = []
  const nodes = new Set<string>()
  let served = 0
  for (const range of answer) {
    const [first, last, primary] = Array.isArray(range) ? range : []
    const [named, port] = Array.isArray(primary) ? primary : []
    const isNamed = named !== null && named !== '' && named !== '?'
    const owner = hostPortOf(isNamed ? named : asked.host, port)
    if (!owner || !isSlot(first) || !isSlot(last)) throw badMap()
    served += last - first + 1
    if (served > SLOTS) throw badMap()
    const text = hostPortText(owner)
    nodes.add(text)
    if (nodes.size > MAX_NODES)
      throw new RedisUnavailable(TOO_MANY_NODES, { maybeDone: false, code: 'DATA_INVALID' })
    for (let slot = first; slot <= last; slot++) owners[slot] = text
  }
  if (owners.length === 0)
    throw new RedisUnavailable('the Cluster serves no slots yet', { maybeDone: false, code: 'NOT_SERVING' })
  return owners
}

const TOO_MANY_NODES = `the Cluster names more than ${MAX_NODES} primaries`

const isSlot = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < SLOTS

const badMap = () =>
  new RedisUnavailable('an invalid answer to CLUSTER SLOTS', { maybeDone: false, code: 'PROTOCOL' })

function isSame(before: readonly string[], now: readonly string[]): boolean {
  return before.length === now.length && now.every((owner, slot) => owner === before[slot])
}

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}
