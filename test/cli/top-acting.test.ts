// What millhand top does to many jobs at once, to schedules and to flows, in a real terminal at a real Redis.
import { connect, flow } from 'millhand/client'
import { type Connection, connectRedis, newJob, openQueue, type Queue } from 'millhand/queue'
import { eventually } from '../eventually.ts'
import { RedisServer } from '../redis-server.ts'
import { MILLHAND, PATIENCE_MS } from './millhand.ts'
import { openShell, type Pane } from './tmux.ts'

let redis: RedisServer
let connection: Connection
let pane: Pane
let env: NodeJS.ProcessEnv

beforeAll(async () => {
  redis = await RedisServer.start()
  connection = connectRedis({ url: redis.url }, { name: 'test' })
  env = { ...process.env, MILLHAND_REDIS_URL: redis.url, MILLHAND_NAMESPACE: 'shop', LC_ALL: 'C.UTF-8' }
}, PATIENCE_MS)
afterAll(async () => {
  connection.close()
  await redis.remove()
}, PATIENCE_MS)

beforeEach(async () => {
  pane = await openShell(env)
}, PATIENCE_MS)
afterEach(() => pane.close())

/** A queue that no worker serves, its jobs in the order of their ids. */
async function queueWith(name: string, count: number): Promise<Queue> {
  const queue = openQueue(connection, `shop.${name}`)
  const ids = Array.from({ length: count }, (_, n) => `job-${String(n).padStart(4, '0')}`)
  await queue.enqueue(ids.map((id) => newJob('succeeds', null, { id })))
  return queue
}

/** In the view that is typed behind `:`. */
async function startAt(view: string): Promise<void> {
  await pane.type(`${process.execPath} ${MILLHAND} top --refresh 250ms`)
  await pane.press('Enter')
  await pane.shows(/^millhand › queues/m)
  await pane.press(':')
  await pane.type(view)
  await pane.press('Enter')
}

async function answered(question: RegExp, ...keys: string[]): Promise<void> {
  await pane.shows(question)
  await pane.press(...keys)
}

test(
  'marked jobs are cancelled and deleted together, and a deletion is undone',
  async () => {
    const queue = await queueWith('marks', 5)
    const state = async (n: number) => (await queue.job(`job-000${n}`))?.state
    await startAt('jobs marks')
    await pane.shows(/^ready +job-0004/m)
    await pane.press('x', 'j', 'j', 'x')
    const marked = await pane.shows(/ · 2 marked$/m)
    expect(marked).toMatch(/^\* ready +job-0000.*\nready +job-0001.*\n\* ready +job-0002/m)
    await pane.press('C')
    await answered(/cancel 2 marked jobs of marks\? y, or any other key/, 'y')
    await pane.shows(/2 jobs are cancelled, or being ended by their workers/)
    expect(await Promise.all([0, 1, 2].map(state))).toEqual(['cancelled', 'ready', 'cancelled'])
    await pane.shows(/^cancelled +job-0000/m)
    await pane.press('X')
    await pane.shows(/ · 5 marked$/m)
    await pane.press('Escape')
    await pane.shows(/^all · 0 held, 3 ready, 0 delayed, 0 buried$/m)
    await pane.press('X', 'D')
    await answered(/delete 5 marked jobs of marks\?/, 'y')
    await pane.shows(/2 jobs are deleted; 3 were left alone; U undoes it within a minute/)
    expect(await state(0)).toBeUndefined()
    await pane.press('U')
    await answered(/bring 2 deleted jobs back\?/, 'y')
    await pane.shows(/2 jobs are back/)
    expect(await state(0)).toBe('cancelled')
    const actions = (await queue.actions.list()).map(({ verb, state, reason }) => [verb, state, reason])
    expect(actions).toEqual([
      ['delete', 'undone', 'in millhand top'],
      ['cancel', 'done', 'in millhand top'],
    ])
  },
  PATIENCE_MS,
)

test(
  'of all jobs that match a filter the number is said first, and above 1,000 typed',
  async () => {
    const queue = await queueWith('many', 1_200)
    const ready = async () => (await queue.depth()).ready
    await startAt('jobs many task:succ*')
    await pane.shows(/window 1, \] for more/)
    await pane.press('A', 'R')
    await pane.shows(/no job that matches can be ready again/)
    const question = /cancel 1200 jobs of many that match task:succ\*\? Type 1200 and enter:/
    await pane.press('C')
    await answered(question, 'y')
    await pane.shows(/nothing was done/)
    await pane.press('C')
    await answered(question, '1', '2', '0', '1', 'Enter')
    await pane.shows(/nothing was done/)
    expect(await ready()).toBe(1_200)
    await pane.press('C')
    await answered(question, '1', '2', '0', '1', 'BSpace', '0')
    await answered(/Type 1200 and enter: 1200$/m, 'Enter')
    await pane.shows(/1200 jobs are cancelled/)
    expect(await ready()).toBe(0)
  },
  PATIENCE_MS,
)

test(
  'schedules are run, paused and deleted, and one that a resource declares stays',
  async () => {
    const queue = await queueWith('clocked', 1)
    const { schedules } = queue
    await schedules.set('hourly', { everyMs: 3_600_000, task: 'succeeds' })
    const declared = { cron: '0 3 * * *', timeZone: 'Europe/Berlin', task: 'succeeds' }
    await schedules.set('nightly', declared, { ownerUid: 'u', owner: 'shop/nightly' })
    const only = async (name: string) => {
      await pane.press('/', 'C-u')
      await pane.type(name)
      await pane.press('Enter')
      await pane.shows(new RegExp(`^/${name} `, 'm'))
    }
    await startAt('schedules clocked')
    await pane.shows(/^2 schedules, next due first$/m)
    await only('hourly')
    await pane.press('R')
    await answered(/run now schedule hourly of clocked\?/, 'y')
    await pane.shows(/job hourly@\S+ is enqueued/)
    await pane.shows(/^hourly +succeeds .* ready$/m)
    expect((await queue.depth()).ready).toBe(2)
    await pane.press('P')
    await answered(/pause schedule hourly of clocked\?/, 'y')
    await pane.shows(/^hourly +succeeds .* paused /m)
    expect((await schedules.get('hourly'))?.isPaused).toBe(true)
    await pane.press('P')
    await answered(/resume schedule hourly/, 'y')
    await eventually(async () => (await schedules.get('hourly'))?.isPaused === false)
    await pane.press('Enter')
    await pane.shows(/› job hourly@/)
    await pane.press('Escape')
    await only('nightly')
    await pane.press('D')
    await answered(/delete schedule nightly/, 'y')
    await pane.shows(/schedule nightly stays: a resource declares it/)
    expect(await schedules.get('nightly')).toBeDefined()
    await only('hourly')
    await pane.press('D')
    await answered(/delete schedule hourly/, 'y')
    await pane.shows(/schedule hourly is deleted; its jobs stay/)
    expect(await schedules.get('hourly')).toBeUndefined()
  },
  PATIENCE_MS,
)

test(
  'flows are listed, shown as a tree, cancelled and retried',
  async () => {
    const queue = await queueWith('home', 1)
    const client = connect({ redis: redis.url, namespace: 'shop' })
    const order = flow('order-42')
    const paid = order.add('home', 'succeeds', { order: 42 }, { name: 'pay' })
    order.add('home', 'succeeds', null, { name: 'pack', after: [paid] })
    await client.start(order)
    client.close()
    await startAt('jobs home')
    await pane.shows(/job-0000/)
    await pane.press('f')
    await pane.shows(/› flows home/)
    await pane.shows(/^order-42 +\S+ +running +2 +0 +1 +1 +0 +0$/m)
    await pane.press('Enter')
    await pane.shows(/› flow ord/)
    await pane.shows(/^ +pay .*\n +pack /m)
    await pane.press('C')
    await answered(/cancel flow order-42 of home\?/, 'y')
    await pane.shows(/flow order-42 is cancelled, or ends what runs first/)
    await eventually(async () => (await queue.flows.facts('order-42'))?.state === 'cancelled')
    await pane.press('Escape')
    await pane.shows(/^order-42 +\S+ +cancelled/m)
    await pane.press('R')
    await answered(/retry flow order-42/, 'y')
    await pane.shows(/flow order-42 runs again what has not completed/)
    expect(await queue.flows.facts('order-42')).toMatchObject({ state: 'running', run: 2 })
  },
  PATIENCE_MS,
)

test(
  'errors beyond one window are behind it',
  async () => {
    const queue = await queueWith('wrong', 0)
    const facts = { pod: '', poolUid: '', node: '', isolation: '', isolationNote: '', version: '' }
    await queue.register({ ...facts, worker: 'p:1', process: 'p', podUid: 'u', slots: 1 })
    await queue.enqueue(
      Array.from({ length: 130 }, (_, n) => newJob('throws', null, { id: `bad-${n}`, maxAttempts: 1 })),
    )
    const { claims } = await queue.settleAndClaim({ worker: 'p:1', wanted: 130 })
    const settlements = claims.map(({ id, token }, n) => {
      const group = `v1:${n.toString(16).padStart(16, '0')}`
      const error = { name: 'Error', message: `kind ${n}` }
      return {
        id,
        token,
        verdict: 'terminal',
        text: JSON.stringify({ outcome: 'failed', group, error }),
      } as const
    })
    await queue.settleAndClaim({ worker: 'p:1', settlements })
    await startAt('errors wrong')
    await pane.shows(/^130 error groups, the last seen first, window 1, \] for more$/m)
    await pane.press(']')
    await pane.shows(/^130 error groups, the last seen first, window 2$/m)
    await pane.press('G')
    await pane.shows(/kind \d+/)
    await pane.press('[')
    await pane.shows(/window 1, \] for more$/m)
  },
  PATIENCE_MS,
)
